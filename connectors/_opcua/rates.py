"""How often which tags come: sent by the server, or polled. Events are sent at the rate of the device."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from connectors._opcua.options import DeviceOptions, TagOptions


def rates(
    options: DeviceOptions, nodes: Mapping[int, TagOptions]
) -> tuple[Mapping[float, Sequence[int]], Mapping[float, Sequence[int]]]:
    """Return the numbers of tags by publishing interval, and of polled ones by period, in seconds; fast first."""
    sent: dict[float, list[int]] = defaultdict(list)
    polled: dict[float, list[int]] = defaultdict(list)
    for number, tag in nodes.items():
        poll = tag.poll or options.poll
        if tag.events:
            sent.setdefault(options.publishing, [])
        elif poll is None or poll == "off":
            sent[tag.publishing or options.publishing].append(number)
        else:
            polled[poll].append(number)
    return dict(sorted(sent.items())), dict(sorted(polled.items()))
