"""`gateway fit`: a model from tables or history, that says how good it is, and is the same again bit for bit."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.cli import main
from gateway.historian.history import History, Progress
from gateway.historian.schema import engine
from gateway.model import Batch, Tag
from gateway.signals import life_fleet
from gateway.signals._prognosis.file import packed, unpacked
from gateway.signals._prognosis.fleet import Settings
from gateway.signals._prognosis.model import ENDLESS, YOUNG, FleetModel

Matrix = NDArray[np.float64]
HOUR = 3600 * 10**9
SMALL = Settings(members=2, width=60)


def machine(chance: np.random.Generator) -> Matrix:
    """A load that is 1 or 2, and two tags that wear moves on top of what the load does; shape (rows, 3)."""
    rows = int(chance.integers(130, 260))
    load = chance.integers(1, 3, rows).astype(np.float64)
    wear = 4 * np.exp((np.arange(rows) - rows) / chance.uniform(25, 45))
    tags = 10 * load[:, None] + wear[:, None] * [1.0, -1.0] + 0.3 * chance.normal(size=(rows, 2))
    return np.column_stack([load, tags])


def machines(n: int, seed: int = 3) -> list[Matrix]:
    chance = np.random.default_rng(seed)
    return [machine(chance) for _ in range(n)]


@pytest.fixture(scope="module")
def model() -> FleetModel:
    return learned(machines(40))


def learned(runs: list[Matrix], how: Settings = SMALL) -> FleetModel:
    return FleetModel.learn(runs, ["load"], ["hot", "cold"], 3600.0, np.random.default_rng(0), how)


def followed(model: FleetModel, rows: Matrix) -> list[tuple[Any, str]]:
    state = model.fleet.begin()
    return [model.after(state, row) for row in rows]


def test_the_evidence_is_what_new_machines_bear_out(model: FleetModel) -> None:
    told, row = [], 0
    for run in machines(20, seed=4):
        for i, (life, _) in enumerate(followed(model, run)):
            row += 1
            if life is not None:
                told.append((*life, len(run) - 1 - i))
    rul, low, high, true = np.array(told).T
    assert model.evidence["runs"] == 40
    assert len(told) / row == pytest.approx(model.evidence["told"], abs=0.1)
    assert np.sqrt(np.mean((rul - true) ** 2)) == pytest.approx(model.evidence["told_rmse"], rel=0.3)
    assert ((low <= true) & (true <= high)).mean() == pytest.approx(model.evidence["told_coverage"], abs=0.08)
    assert 0.85 < model.evidence["coverage"] < 0.95
    assert model.evidence["rmse"] < 0.5 * model.evidence["rmse_of_the_mean"]


def test_one_machine_row_by_row_is_what_the_fleet_says_of_many_at_once(model: FleetModel) -> None:
    runs = machines(3, seed=5)
    for run, (known, beyond) in zip(runs, model.fleet.follow(runs), strict=True):
        life = model.life(known)
        for i, (one, reason) in enumerate(followed(model, run)):
            if one is None:
                assert reason
                continue
            assert not beyond[i].any()
            assert one == pytest.approx((life.rul[i], life.lower[i], life.upper[i]), abs=1e-3)


def test_it_is_silent_and_says_why(model: FleetModel) -> None:
    run = machines(1, seed=6)[0]

    def reason(rows: Matrix) -> str:
        life, why = followed(model, rows)[-1]
        assert (life is None) is bool(why)
        return why

    assert reason(run[:5]) == YOUNG
    assert reason(run[:40]) == ENDLESS
    assert reason(run) == ""
    assert reason(np.vstack([run, run[-1] + np.array([5, 0, 0])])) == "run as no machine of the fleet was"
    assert reason(np.vstack([run, *[run[-1] + np.array([0, 0, 90])] * 3])) == "cold is where it never was in the fleet"
    assert reason(np.vstack([run, run])) == "older than any machine of the fleet became"


def test_a_file_is_the_model_bit_for_bit_and_nothing_that_was_changed(model: FleetModel) -> None:
    data = packed(model)
    again = unpacked(data)
    assert packed(again) == data == packed(learned(machines(40)))
    run = machines(1, seed=7)[0]
    assert followed(again, run) == followed(model, run)
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        members = {name: file[name].copy() for name in file.files}
    members["missed"][0, 60] += 1e-12
    changed = io.BytesIO()
    np.savez(changed, **members)
    with pytest.raises(ValueError, match="checksum"):
        unpacked(changed.getvalue())
    for broken in (b"", b"no model", data[:-100], data[: len(data) // 2]):
        with pytest.raises(ValueError, match="no model of a fleet"):
            unpacked(broken)


def test_what_a_signal_remembers_is_not_of_another_file_with_the_same_name(model: FleetModel, tmp_path: Path) -> None:
    path = tmp_path / "pumps.npz"

    def options() -> life_fleet.Options:
        return life_fleet.Options.model_validate({"asset": "plant/pump", "model": path})

    def identity(known: FleetModel) -> str:
        path.write_bytes(packed(known))
        return options().model_dump_json()

    assert identity(model) == identity(model) != identity(learned(machines(20)))
    path.unlink()
    with pytest.raises(ValueError, match="make it with gateway fit"):
        options()


@pytest.mark.parametrize("share", np.linspace(0.01, 0.99, 12).tolist())
def test_a_bit_that_flips_is_seen_or_does_not_matter(model: FleetModel, share: float) -> None:
    data = bytearray(packed(model))
    data[int(share * len(data))] ^= 4
    try:
        same = packed(unpacked(bytes(data))) == packed(model)
    except ValueError:
        same = True
    assert same


def test_of_too_little_nothing_is_learned() -> None:
    with pytest.raises(ValueError, match="9 runs to failure are too few"):
        learned(machines(9))
    with pytest.raises(ValueError, match="a run has 4 rows"):
        learned([*machines(9), machines(1)[0][:4]])
    with pytest.raises(ValueError, match="no tag changes"):
        learned([np.ones((50, 3))] * 10)


# --- the command --------------------------------------------------------------------------


def table(path: Path, runs: list[Matrix]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["pump", "load", "hot", "cold"])
        writer.writerows([f"pump{i}", *row] for i, run in enumerate(runs) for row in run.tolist())
    return path


def fit(*words: str | Path) -> int:
    return main(["fit", *map(str, words)])


def test_a_table_becomes_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = table(tmp_path / "pumps.csv", machines(12)), tmp_path / "pumps.npz"
    assert fit(source, "--run", "pump", "--settings", "load", "--period", "1h", "--out", out, "--json") == 0
    found = unpacked(out.read_bytes())
    assert json.loads(capsys.readouterr().out) == found.evidence
    assert (found.settings, found.tags, found.period_s) == (("load",), ("hot", "cold"), 3600)
    assert found.source == str(source)
    assert len(found.fleet.regimes) == 2


def test_wrong_use_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = table(tmp_path / "pumps.csv", machines(3)), tmp_path / "pumps.npz"

    def said(*words: str) -> str:
        assert fit(source, "--period", "1h", "--out", out, *words) == 1
        return capsys.readouterr().err

    assert "has no column run; it has pump, load, hot, cold" in said()
    assert "3 runs to failure are too few" in said("--run", "pump")
    assert "load: named twice" in said("--run", "pump", "--settings", "load", "--tags", "load,hot")
    assert "--tags is needed with --runs" in said("--runs", "failures.csv")
    source.write_text("pump,load\n1,2\n1,x\n")
    assert "pumps.csv:3: not all of it are numbers" in said("--run", "pump")
    assert not out.exists()


def test_history_gives_the_rows_that_a_signal_would_have(tmp_path: Path) -> None:
    runs = machines(10)
    plant = tmp_path / "plant.yaml"
    plant.write_text(f"site: {{enterprise: acme, site: north}}\ndata_dir: {tmp_path}\n")
    begin = 400_000 * HOUR
    failures = ["asset,from,to"]
    history = History(engine(f"sqlite:///{tmp_path / 'history.db'}"))
    for i, run in enumerate(runs):
        tags = [Tag(f"acme/north/pump{i}", name) for name in ("load", "hot", "cold")]
        time = begin + np.arange(len(run)) * HOUR
        batches = [
            Batch.of([number] * len(run), time, run[:, column], [0x8000_0000 * (row == 7) for row in range(len(run))])
            for column, number in enumerate(history.series(tags))
        ]
        history.append(batches, Progress("g", "j", i + 1), begin)
        failures.append(f"pump{i},{begin // 10**6},{(begin + len(run) * HOUR) // 10**6}")
    history.close()
    (tmp_path / "failures.csv").write_text("\n".join(failures))
    words = ("--runs", tmp_path / "failures.csv", "--tags", "hot,cold", "--settings", "load", "--period", "1h")
    assert fit(plant, *words, "--when", "load > 0", "--out", tmp_path / "pumps.npz") == 0
    found = unpacked((tmp_path / "pumps.npz").read_bytes())
    assert found.evidence["rows"] == sum(map(len, runs)) - 2 * len(runs), "the bad row, and the last, which is not over"
