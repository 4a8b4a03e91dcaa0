"""The plant file: what it may say, and what is said when it is wrong."""

from pathlib import Path

import pytest

from simulators import plantfile
from simulators.faults import Fault
from simulators.yamlfile import PlantFileError, load

DEMO = Path(__file__).parents[2] / "config" / "plants" / "bottling.yaml"

WRONG = """\
nam: x
seed: -1
servers: {opcua: 4840, pumpe: modbus://127.0.0.1:5023}
products:
  a: {name: A, volume: 500}
shifts:
  - {days: mon-fri, hours: "06:00-14:00", break: []}
counters: {fillr: 3}
faults:
  - {fault: bearing_waer, target: pump, at: 20min}
  - {fault: jam, target: labeler, at: 20 minutes, severity: 0.3}
  - fault: exceptions
    target: filler/temperature
    at: 3h
    code: BadSensor
  - {fault: cavitation, target: pump}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "plant.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlantFileError) as caught:
        load(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


def test_all_mistakes_are_named_at_once_with_line_key_and_remedy(tmp_path: Path) -> None:
    assert problems(tmp_path, WRONG) == [
        "1: nam: there is no such key; did you mean 'name'?",
        "2: seed: Input should be greater than or equal to 0, not -1",
        "3: servers.opcua: Input should be a valid string, not 4840",
        "3: servers.pumpe: there is no such key; did you mean 'pump'?",
        "5: products.a.speed: is missing; add it",
        "7: shifts[0].break: there is no such key; did you mean 'breaks'?",
        "7: shifts[0].days: 'mon-fri' are not days; write for example monday-friday or saturday",
        "8: counters: no machine 'fillr'; did you mean 'filler'?",
        "10: faults[0].fault: 'bearing_waer' is not a fault; did you mean 'bearing_wear'?",
        "11: faults[1].at: '20 minutes' is not a duration; write for example 90s, 20min or 3h",
        "11: faults[1].severity: jam has no option severity; it has: none",
        "11: faults[1].target: jam cannot befall 'labeler'; did you mean 'labeller'?",
        "15: faults[2].code: 'BadSensor' is no code of filler/temperature; did you mean 'BadSensorFailure'?",
        "16: faults[3].at: is missing; add it",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("orders:\n  - {product: b, bottles: 3}\n", "1: orders: no product 'b', allowed: still_05"),
        ("servers: {pump: 'modbus://h:5020'}\n", "1: servers: pump and energy want the same port 5020"),
        ("- 1\n", "1: the file: Input should be a valid dictionary or instance of PlantFile, not a list"),
        ("a: [\n", "2: this is not YAML: did not find expected node content"),
    ],
)
def test_other_mistakes(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(PlantFileError, match=r"none\.yaml: cannot be read: .*; is the path right\?"):
        load(tmp_path / "none.yaml")


def test_an_empty_file_is_a_plant(tmp_path: Path) -> None:
    path = tmp_path / "plant.yaml"
    path.write_text("", encoding="utf-8")
    assert load(path) == plantfile.PlantFile()


def test_the_demonstration_plant_is_right() -> None:
    file = load(DEMO)
    first = file.appointments()[0]
    assert first.fault == Fault("bearing_wear", "pump", severity=0.0, life=9_600.0)
    assert (first.at_s, first.duration_s, first.every_s) == (1_200.0, 10_800.0, 13_200.0)
    assert file.start == 6 * 3_600
    assert file.calendar().working(file.start)


def test_times_of_all_kinds() -> None:
    assert [plantfile.seconds(text) for text in (90, "45s", "20min", "1.5h", "2d")] == [90, 45, 1_200, 5_400, 172_800]
    assert plantfile.interval("22:00-06:00") == (79_200, 108_000)
    assert plantfile.week_time("tuesday 06:05") == 86_400 + 21_900
    assert plantfile.week_days("friday-monday") == (4, 5, 6, 0)
    for parse, text in (
        (plantfile.seconds, "-3"),
        (plantfile.clock, "24:01"),
        (plantfile.interval, "06:00"),
        (plantfile.week_time, "06:00"),
    ):
        with pytest.raises(ValueError, match="write for example"):
            parse(text)
