"""Ids, topics and the metrics that every node has, of Sparkplug B: `spBv1.0/{group}/{verb}/{node}[/{device}]`. Pure."""

from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "spBv1.0"
NODE_VERBS: Final = ("NBIRTH", "NDATA", "NDEATH", "NCMD")
DEVICE_VERBS: Final = ("DBIRTH", "DDATA", "DDEATH", "DCMD")
BDSEQ: Final = "bdSeq"
REBIRTH: Final = "Node Control/Rebirth"
"""Metrics that each edge node has."""


@dataclass(frozen=True, slots=True)
class Names:
    """Topics of one edge node."""

    group: str
    node: str

    def topic(self, verb: str, device: str = "") -> str:
        """Return the topic of a message of the node, or of one of its devices."""
        return f"{NAMESPACE}/{self.group}/{verb}/{self.node}" + (f"/{device}" if device else "")

    def device(self, topic: str) -> str:
        """Return the device that a topic of this node names, or nothing."""
        return "/".join(topic.split("/")[4:])


def state(host: str) -> str:
    """Return the topic on which a host application says whether it is there."""
    return f"{NAMESPACE}/STATE/{host}"
