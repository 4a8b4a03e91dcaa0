"""The plan: tags with their numbers, connectors, signals in order of what feeds what; and what cannot be built."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.config import ConfigError, load
from gateway.model import Catalog
from gateway.model.method import Argument, Method
from gateway.model.tag import EVENT, TRIAL
from gateway.plan import Plan, plan
from gateway.plugins import Protocols, signal_kinds
from tests.simulation.loop import LoopClock

Planned = Callable[..., Plan]

PUMP = """\
site: {enterprise: acme, site: dresden}
devices:
  pump:
    connect: modbus://user@10.0.0.7?unit=3
    asset: utilities/pump1
    tags:
      pressure: {register: "holding:40", unit: bar, description: at the outlet, range: [0, 16], deadband: 0.1}
      state: {register: "30001", labels: {0: stopped}}
"""


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """Plan what a text configures."""

    def run(text: str, catalog: Catalog | None = None) -> Plan:
        path = tmp_path / "gateway.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        config, document = load(path, Protocols(), signal_kinds(), tmp_path)
        return plan(config, document, catalog or Catalog(), Protocols(), signal_kinds(), LoopClock())

    return run


def findings(planned: Planned, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        planned(text)
    return [(finding.line, finding.what, finding.remedy) for finding in caught.value.findings]


def test_a_tag_is_what_the_configuration_says_of_it(planned: Planned) -> None:
    found = planned(PUMP)
    (device,) = found.devices
    assert (device.name, device.asset, device.protocol) == ("pump", "acme/dresden/utilities/pump1", "modbus")
    pressure, state = (found.catalog[number] for number in device.numbers.tolist())
    assert (pressure.path, pressure.unit, pressure.description) == (
        "acme/dresden/utilities/pump1/pressure", "bar", "at the outlet",
    )  # fmt: skip
    assert (pressure.low, pressure.high, pressure.deadband, pressure.device) == (0.0, 16.0, 0.1, "pump")
    assert (pressure.address, state.address) == ("holding:40 uint16", "30001 = input:0 uint16")
    assert state.labels == {0: "stopped"}


def test_tags_keep_the_numbers_that_they_had_before(planned: Planned) -> None:
    catalog = Catalog()
    catalog.reserve("acme/dresden/old", "x")
    catalog.reserve("acme/dresden/utilities/pump1", "state")
    found = planned(PUMP, catalog)
    assert found.devices[0].numbers.tolist() == [2, 1]


def test_the_address_of_a_device_has_no_password(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "hunter2")
    found = planned(PUMP.replace("user@", "user:${PASSWORD}@"))
    assert found.devices[0].address == "modbus://user:***@10.0.0.7?unit=3"


def test_two_devices_cannot_have_the_same_tag(planned: Planned) -> None:
    text = PUMP + (
        "  twin:\n"
        "    connect: modbus://10.0.0.8\n"
        "    asset: utilities\n"
        "    tags:\n"
        '      pump1/state: {register: "40001"}\n'
    )
    ((line, what, remedy),) = findings(planned, text)
    assert (line, remedy) == (13, "give one of them another name or asset")
    assert "utilities/pump1/state is already a tag of pump" in what


def test_what_a_protocol_cannot_do_is_told_by_device(planned: Planned) -> None:
    one, other = findings(
        planned,
        """\
        site: {enterprise: acme, site: dresden}
        devices:
          one: {connect: "modbus://h?unit=900", asset: a, tags: {x: {register: "40001"}}}
          two: {connect: "modbus://h", asset: b, tags: {x: {register: "holding:65535", type: uint32}}}
        """,
    )
    assert (one[0], other[0]) == (3, 4)
    assert "devices.one: unit=900: the unit must be 0..255" in one[1]
    assert "devices.two: holding:65535 with 2 addresses does not fit" in other[1]


@pytest.mark.parametrize(
    ("one", "two", "what"),
    [
        ("modbus+rtu:///dev/x?baud=9600", "modbus+rtu:///dev/x?unit=2", "baud=9600, parity=E, stop=1, this one as"),
        ("modbus://h:802", "modbus+tls://h", "another device reaches it as modbus://h:802, this one as modbus+tls://h"),
    ],
)
def test_what_two_devices_on_one_line_do_not_agree_on_is_told(planned: Planned, one: str, two: str, what: str) -> None:
    keys = "asset: {}, tags: {{x: {{register: 40001}}}}}}"
    text = f"site: {{enterprise: a, site: b}}\ndevices:\n  d: {{connect: '{one}', {keys.format('d')}\n"
    ((line, found, _),) = findings(planned, text + f"  e: {{connect: '{two}', {keys.format('e')}\n")
    assert (line, what in found) == (4, True)


@pytest.mark.parametrize("sentinel", ["70000", "-1", "99999999999999999999999"])
def test_a_sentinel_that_cannot_be_is_a_finding_and_no_crash(planned: Planned, sentinel: str) -> None:
    ((_, what, _),) = findings(planned, PUMP.replace("unit: bar", f"invalid: [{sentinel}]"))
    assert sentinel in what
    assert planned(PUMP.replace("unit: bar", f"type: float64, invalid: [{sentinel}]")).devices


# --- signals ------------------------------------------------------------------------------

WAVE = PUMP + '      wave: {register: "40100", type: float64}\n'


def test_signals_come_in_the_order_of_what_feeds_what(planned: Planned) -> None:
    found = planned(
        WAVE
        + "signals:\n"
        + "  second: {type: drift, input: utilities/pump1/_maintenance/first}\n"
        + "  first: {type: drift, input: utilities/pump1/_maintenance/bearing_rms}\n"
        + "  bearing: {type: vibration, input: utilities/pump1/wave, sample_rate: 16000}\n"
    )
    names = [found.catalog[int(built.signal.inputs[0])].name for built in found.signals.values()]
    assert names == ["wave", "_maintenance/bearing_rms", "_maintenance/first"]
    assert "acme/dresden/utilities/pump1/_alarm/second" in found.catalog


def test_an_input_that_is_no_tag_is_told_with_the_nearest(planned: Planned) -> None:
    text = PUMP + "signals:\n  x: {type: drift, input: utilities/pump1/presure}\n  y: {type: drift, input: zzz}\n"
    one, other = findings(planned, text)
    assert (one[0], one[2]) == (10, "did you mean utilities/pump1/pressure?")
    assert (other[0], other[2]) == (11, "write asset/tag, without the site")
    assert "signals.x.input is no tag: utilities/pump1/presure" in one[1]


def test_a_signal_may_watch_an_asset_or_some_of_its_tags(planned: Planned) -> None:
    found = planned(
        WAVE
        + "signals:\n"
        + "  all: {type: shift, asset: utilities/pump1}\n"
        + "  some: {type: monitor, asset: utilities/pump1, tags: [pressure, _maintenance/bearing_rms]}\n"
        + "  bearing: {type: vibration, input: utilities/pump1/wave, sample_rate: 16000}\n"
    )
    names = [[found.catalog[int(number)].name for number in built.signal.inputs] for built in found.signals.values()]
    assert names == [["pressure", "state", "wave"], ["wave"], ["pressure", "_maintenance/bearing_rms"]]
    assert "acme/dresden/utilities/pump1/_alarm/some" in found.catalog


def test_an_asset_that_is_none_and_a_tag_that_it_has_not_are_told(planned: Planned) -> None:
    text = PUMP + (
        "signals:\n  x: {type: shift, asset: utilities/pump2}\n"
        "  y: {type: shift, asset: utilities/pump1, tags: [flow]}\n"
    )
    one, other = findings(planned, text)
    assert one[1:] == ("signals.x.asset is no asset: utilities/pump2", "did you mean utilities/pump1?")
    assert other[1] == "signals.y.tags is no tag: utilities/pump1/flow"


def test_a_tag_that_says_when_a_machine_runs_and_is_none_is_told(planned: Planned) -> None:
    text = PUMP + 'signals:\n  x: {type: drift, input: utilities/pump1/pressure, when: "stat > 0"}\n'
    (one,) = findings(planned, text)
    assert one[1:] == ("signals.x.when is no tag: utilities/pump1/stat", "did you mean utilities/pump1/state?")


def test_a_tag_that_was_once_configured_is_no_input(planned: Planned) -> None:
    catalog = Catalog()
    catalog.reserve("acme/dresden/utilities/pump1", "gone")
    with pytest.raises(ConfigError, match="is no tag"):
        planned(PUMP + "signals:\n  x: {type: drift, input: utilities/pump1/gone}\n", catalog)


def test_a_formula_that_adds_a_temperature_to_a_power_is_told_with_its_line(planned: Planned) -> None:
    text = PUMP.replace(
        "devices:", "signals:\n  sum: {type: derived, asset: utilities/pump1, formula: pressure + k, %s}\ndevices:"
    )
    assert text != PUMP
    tag = "tags:\n      k: {register: holding:99, unit: kW}\n"
    text = text.replace("tags:\n", tag, 1)
    ((line, what, _),) = findings(planned, text % "unit: kW")
    assert what == (
        "signals.sum: pressure + k: bar and kW do not measure the same;"
        " if numbers in the formula have units of their own, write check_units: false"
    )
    assert "type: derived" in dedent(text).splitlines()[line - 1]
    planned(text % "check_units: false")


def test_signals_that_feed_each_other_are_told(planned: Planned) -> None:
    text = PUMP + (
        "signals:\n"
        "  x: {type: drift, input: utilities/pump1/_maintenance/y}\n"
        "  y: {type: drift, input: utilities/pump1/_maintenance/x}\n"
    )
    assert [line for line, *_ in findings(planned, text)] == [10, 11]


ON_TRIAL = (
    WAVE
    + """\
signals:
  advised: {type: advice, asset: utilities/pump1, signals: [drifts, shifts], shadow: true}
  drifts: {type: drift, input: utilities/pump1/_maintenance/bearing_rms, shadow: true}
  shifts: {type: shift, asset: utilities/pump1, tags: [pressure]}
  bearing: {type: vibration, input: utilities/pump1/wave, sample_rate: 16000, shadow: true}
  twice: {type: derived, asset: utilities/pump1, formula: 2 * pressure, shadow: true}
"""
)


def test_what_a_signal_on_trial_derives_nobody_takes_for_an_alarm(planned: Planned) -> None:
    found = planned(ON_TRIAL)
    tags = {name: [found.catalog[n] for n in built.outputs.tolist()] for name, built in found.signals.items()}
    assert list(tags)[-1] == "advised", "what it takes comes first, on trial or not"
    on_trial = [tag for name, own in tags.items() if name != "shifts" for tag in own]
    assert all(tag.name.startswith("_shadow/") and tag.datatype != EVENT for tag in on_trial)
    names = {tag.name for tag in on_trial}
    assert names >= {
        "_shadow/alarm/drifts",
        "_shadow/maintenance/advised",
        "_shadow/maintenance/bearing_rms",
        "_shadow/twice",
    }
    assert {tag.name for tag in tags["shifts"]} >= {"_alarm/shifts"}
    would = {name: [found.catalog[n].name for n in built.trials] for name, built in found.signals.items()}
    assert would == {
        "shifts": [], "bearing": [], "twice": [],
        "drifts": ["_shadow/alarm/drifts"], "advised": ["_shadow/maintenance/advised"],
    }  # fmt: skip
    (advice,) = tags["advised"]
    assert advice.datatype == TRIAL


def test_a_signal_on_trial_sees_others_on_trial_and_the_live_ones(planned: Planned) -> None:
    found = planned(ON_TRIAL)
    seen = {found.catalog[n].name for n in found.signals["advised"].signal.inputs.tolist()}
    assert seen >= {"_shadow/alarm/drifts", "_alarm/shifts", "_shadow/maintenance/drifts_ratio"}


def test_a_live_signal_takes_nothing_from_one_on_trial(planned: Planned) -> None:
    ((line, what, remedy),) = findings(planned, ON_TRIAL.replace("[drifts, shifts], shadow: true", "[drifts, shifts]"))
    assert line == 11
    assert what == "signals.advised.tags is no tag: utilities/pump1/_alarm/drifts"
    assert remedy == "that is on trial: give advised shadow: true as well"


def test_what_was_learned_live_is_not_that_of_the_trial(planned: Planned) -> None:
    """What a signal remembers has the numbers of what it derives."""
    live, trial = (
        planned(f"{WAVE}signals:\n  x: {{type: shift, asset: utilities/pump1{more}}}\n").signals["x"].identity
        for more in ("", ", shadow: true")
    )
    assert live != trial
    assert "shadow" not in live, "as it was before there were trials, so that nothing begins anew"


def test_two_signals_cannot_derive_the_same_tag(planned: Planned) -> None:
    text = WAVE + (
        "signals:\n"
        "  bearing: {type: vibration, input: utilities/pump1/wave, sample_rate: 16000}\n"
        "  bearing_rms: {type: drift, input: utilities/pump1/pressure}\n"
    )
    ((_, what, _),) = findings(planned, text)
    assert "utilities/pump1/_maintenance/bearing_rms" in what


# --- methods ------------------------------------------------------------------------------

MILL = """
site: {enterprise: acme, site: dresden}
devices:
  mill:
    connect: opc.tcp://h
    asset: hall/mill
    methods:
      move: {object: "i=85", method: "i=1", arguments: {Position: {limits: [0, 150]}, Mode: {choices: [slow]}}}
      %s: {object: "i=85", method: "i=2"}
    tags: {speed: {node: "i=3"}}
"""


def test_methods_are_found_by_path(planned: Planned) -> None:
    found = planned(MILL % "axis/reset")
    assert found.methods == {
        "acme/dresden/hall/mill/move": Method(
            "mill", "move", {"Position": Argument((0, 150)), "Mode": Argument(None, ("slow",))}, 1.0
        ),
        "acme/dresden/hall/mill/axis/reset": Method("mill", "axis/reset", {}, 1.0),
    }


def test_a_method_with_the_path_of_a_tag_is_told(planned: Planned) -> None:
    ((_, what, remedy),) = findings(planned, MILL % "speed")
    assert what == "acme/dresden/hall/mill/speed is already a tag"
    assert remedy == "give one of them another name or asset"


def test_an_alarm_may_be_acknowledged_only_if_the_configuration_says_so(planned: Planned) -> None:
    text = MILL % "reset"
    assert len(planned(text.replace('{node: "i=3"}', '{events: "i=2253"}')).methods) == 2
    found = planned(text.replace('{node: "i=3"}', '{events: "i=2253", acknowledge: true}')).methods
    rules = {"EventId": Argument(), "Comment": Argument()}
    path = "acme/dresden/hall/mill/speed/acknowledge"
    assert found[path] == Method("mill", "speed/acknowledge", rules)
    assert "acme/dresden/hall/mill/speed/confirm" in found
