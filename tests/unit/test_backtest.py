"""What a backtest is made of: the truth out of a file, findings out of what signals say, readings second by second."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.backtest import replay, truth
from gateway.backtest.findings import Findings
from gateway.backtest.judge import Fault, Finding, Truth
from gateway.cli import main
from gateway.historian.chunk import Readings
from gateway.historian.history import History, Progress
from gateway.historian.schema import engine, reading
from gateway.model import Batch, Catalog, Tag
from gateway.model.batch import objects
from gateway.model.tag import EVENT, TRIAL
from gateway.ratings import Advice, Rating
from gateway.recall import Built

SITE = "acme/dresden"
PUMP = f"{SITE}/utilities/pump1"
S = 1_000_000_000
TAGS = [Tag(PUMP, "flow"), Tag(f"{SITE}/utilities/chiller1", "capacity")]


# --- truth --------------------------------------------------------------------------------


def known(tmp_path: Path, text: str) -> list[Fault]:
    path = tmp_path / "faults.csv"
    path.write_text(text, encoding="utf-8")
    return truth.read(path, SITE, TAGS, 100 * S)


def test_faults_are_read_as_a_spreadsheet_writes_them(tmp_path: Path) -> None:
    text = (
        "\ufeffto,asset,from,remark,cause\n1970-01-01T00:00:20Z,utilities/pump1,10000,x, flow \n,utilities,-1s,,wear\n"
    )
    assert known(tmp_path, text) == [
        Fault(PUMP, 10 * S, 20 * S, "flow", of_tag=True),
        Fault(f"{SITE}/utilities", 99 * S, None, "wear"),
    ]


def test_all_that_is_wrong_with_the_truth_is_told_at_once(tmp_path: Path) -> None:
    text = (
        "asset,from,to\nutilities/pump2,0,1\nutilities/pump1,yesterday,\nutilities/pump1,2000,1000\nutilities/pump1\n"
    )
    with pytest.raises(truth.WrongTruth) as caught:
        known(tmp_path, text)
    found = [finding.partition("faults.csv:")[2] for finding in caught.value.findings]
    assert found[0] == "2: utilities/pump2 is the asset of no device: did you mean utilities/pump1?"
    assert found[1].startswith("3: 'yesterday' is no time: write 2026-01-05T06:00:00Z")
    assert found[2] == "4: from 2000 is not before to 1000"
    assert found[3].startswith("5: '' is no time")
    with pytest.raises(
        truth.WrongTruth, match=r"faults.csv:1: there is no column from, to; they are asset, from, to, c"
    ):
        known(tmp_path, "asset,begin,end\n")


def test_what_people_said_of_advice_is_the_truth(tmp_path: Path) -> None:
    def advice(at_s: int, verdict: str = "", true_cause: str = "", cleared_s: int | None = None) -> Advice:
        said = Rating(verdict, true_cause, "", 0, "eva") if verdict else None
        cleared_ns = None if cleared_s is None else cleared_s * S
        return Advice(str(at_s), PUMP, f"{PUMP}/x", "wear", at_s * S, cleared_ns, {}, rating=said)

    advices = [
        advice(1), advice(2, "right", cleared_s=9), advice(3, "wrong", "flow"), advice(4, "wrong", cleared_s=8),
        advice(5, "wrong"),
    ]  # fmt: skip
    assert truth.rated(advices, TAGS) == Truth(
        [Fault(PUMP, 2 * S, 9 * S, "wear"), Fault(PUMP, 3 * S, None, "flow", of_tag=True)],
        [(PUMP, 4 * S, 8 * S), (PUMP, 5 * S, None)],
    )


# --- findings -----------------------------------------------------------------------------


class Mute:
    """A Signal that never says anything."""

    inputs = np.empty(0, np.uint32)

    def update(self, batch: Batch) -> Sequence[Batch]:
        return ()


def listening(*tags: Tag) -> Findings:
    catalog = Catalog(tags)
    signals = {"watch": Built(Mute(), "", np.arange(len(tags), dtype=np.uint32))}
    return Findings(signals, catalog)


@pytest.mark.parametrize("below", ["_{}/watch", "_shadow/{}/watch"])
def test_an_alarm_has_the_cause_that_was_told_with_it(below: str) -> None:
    names = ("alarm", "maintenance", "maintenance", "maintenance")
    ends = ("", "", "_cause", "_evidence")
    findings = listening(*(Tag(PUMP, below.format(name) + end) for name, end in zip(names, ends, strict=True)))
    findings.take([Batch.of([1], 3 * S, [0.5])])
    cause = objects([{"flow": 1.0}, {}, {"flow": 0.6, "speed": 0.4}])
    evidence = objects([{"flow": {"is": 1.0}}, {}, {}])
    times = np.array([5, 6, 7]) * S
    findings.take(
        [
            Batch.of([2] * 3, times, cause),
            Batch.of([3] * 3, times, evidence),
            Batch.of([0] * 3, times, [True, False, True]),
        ]
    )
    findings.take([Batch.of([0], 8 * S, [True])])
    findings.take([Batch.of([0], 9 * S, [False], 0x8000_0000)])
    assert findings.all == [
        Finding("watch", PUMP, 5 * S, 6 * S, "", {"flow": 1.0}, {"flow": {"is": 1.0}}),
        Finding("watch", PUMP, 7 * S, None, "", {"flow": 0.6, "speed": 0.4}, {}),
    ], "the same alarm once more, for another cause, is no other one; a bad reading says nothing"
    assert findings.learned_ns == {"watch": 3 * S}
    assert [watcher.what for watcher in findings.watchers] == ["alarm"]


@pytest.mark.parametrize("datatype", [EVENT, TRIAL])
def test_advice_is_on_until_it_is_cleared_and_an_event_is_over_at_once(datatype: str) -> None:
    findings = listening(Tag(PUMP, "_maintenance/watch", datatype=datatype))

    def say(time_s: int, **event: Any) -> None:
        findings.take([Batch.of([0], time_s * S, objects([event]))])

    say(1, ConditionName="wear", ActiveState=True, Cause={"flow": 1.0}, Evidence={"flow": {"is": 2.0}}, Message="m")
    say(2, ConditionName="leak", ActiveState=True)
    say(3, ConditionName="wear", ActiveState=False)
    say(4, Message="the level of tags changes", Changes={"flow": 8.0})
    say(5, ConditionName="wear", ActiveState=False)
    assert findings.all == [
        Finding("watch", PUMP, 1 * S, 3 * S, "wear", {"flow": 1.0}, {"flow": {"is": 2.0}}, "m"),
        Finding("watch", PUMP, 2 * S, None, "leak"),
        Finding("watch", PUMP, 4 * S, 4 * S, "", {"flow": 8.0}, {}, "the level of tags changes"),
    ]


# --- replay -------------------------------------------------------------------------------


class Asked:
    """A History: a reading each tenth of a second, a text each minute. Notes what is asked, and the most at once."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []
        self.most = 0

    def readings(self, path: str, start_ns: int, end_ns: int) -> list[Readings]:
        self.spans.append((start_ns, end_ns))
        step = S // 10 if path == "fast" else 60 * S
        time = np.arange(-(-start_ns // step) * step, end_ns, step)
        self.most = max(self.most, len(time))
        value = time / S if path == "fast" else objects(["a"] * len(time))
        return [Readings(time, value, np.zeros(len(time), np.uint32))] if len(time) else []


def test_readings_come_a_second_at_a_time_whatever_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_READINGS", 2_000)
    history: Any = Asked()
    start, end = 1_234_500_000_000, 1_234_500_000_000 + 1000 * S
    came = list(replay.seconds(history, {7: "fast", 8: "slow"}, start, end))
    assert len(came) == 1001, "a half one at each end"
    times = np.concatenate([batch.time for second in came for batch in second if batch.tag[0] == 7])
    assert np.array_equal(times, np.arange(start, end, S // 10))
    for second in came:
        assert len({int(time) // S for batch in second for time in batch.time.tolist()}) == 1
        assert [batch.tag[0] for batch in second] == [7, 8][: len(second)]
    assert sum(len(second) == 2 for second in came) == 17
    assert history.most <= 4_000, "what is in memory is bounded"
    assert [a for a, _ in history.spans[2::2]] == [b for _, b in history.spans[:-2:2]]


def test_what_there_is_nothing_of_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    history: Any = Asked()
    assert list(replay.seconds(history, {}, 0, 90 * 86_400 * S)) == []
    (second,) = replay.seconds(history, {8: "slow"}, 30 * S, 90 * S)
    assert second[0].value.tolist() == ["a"]


def test_history_is_only_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    writer = History(engine(url))
    series = writer.series([Tag(PUMP, "flow")])
    reader = History(reading(url))
    writer.append([Batch.of(series, S, [1.5])], Progress("g", "j", 1), 0)
    (found,) = reader.readings(f"{PUMP}/flow", 0, 2**62)
    assert found.value.tolist() == [1.5]
    with pytest.raises(Exception, match="readonly"):
        reader.series([Tag(PUMP, "other")])
    reader.close()
    writer.close()


# --- command ------------------------------------------------------------------------------

PLANT = """\
site: {enterprise: acme, site: dresden}
data_dir: DATA
historian: HISTORIAN
devices:
  pump: {connect: "modbus://127.0.0.1:502", asset: utilities/pump1, tags: {flow: {register: "holding:1"}}}
signals:
  flow_shift: {type: shift, asset: utilities/pump1}
"""


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., Path]:
    def write(historian: str = "{}") -> Path:
        path = tmp_path / "plant.yaml"
        path.write_text(PLANT.replace("DATA", str(tmp_path)).replace("HISTORIAN", historian), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("historian", "options", "code", "said"),
    [
        ("{}", ["--from", "now"], 2, "--from now is not before --to now"),
        ("{}", ["--from", "3x"], 2, "'3x' is not a duration"),
        ("{}", ["--from", "1h"], 1, "history.db does not exist: has this gateway run"),
        ("none", ["--from", "1h"], 1, "this gateway keeps no history"),
        ("{url: 'postgresql://nobody@127.0.0.1:1/none'}", ["--from", "1h"], 1, "history cannot be read: connection"),
        ("{}", ["--from", "1h", "--truth", "nothing.csv"], 1, "nothing.csv"),
        ("{}", ["--from", "1h", "--config", "nothing.yaml"], 1, "nothing.yaml"),
    ],
)
def test_what_cannot_be_done_is_said(
    plant: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    historian: str,
    options: list[str],
    code: int,
    said: str,
) -> None:
    assert main(["backtest", str(plant(historian)), *options]) == code
    assert said in capsys.readouterr().err


def test_an_empty_history_raises_nothing_and_says_so(
    plant: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = History(engine(f"sqlite:///{tmp_path / 'history.db'}"))
    history.prepare()
    history.close()
    assert main(["backtest", str(plant()), "--from", "1h"]) == 0
    out = capsys.readouterr().out
    assert "flow_shift learned nothing: it has too few readings, begin the warm-up earlier" in out
    assert "no fault is known: found, lead and cause are not told" in out
