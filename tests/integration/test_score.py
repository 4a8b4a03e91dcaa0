"""`gateway score` over the public data, where they are: the goals of docs/maintenance.md."""

import csv
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from gateway.cli import main

DATA = Path(os.environ.get("BENCHMARKS", Path(__file__).parents[3] / "shared" / "data" / "maintenance"))
"""Not part of the repository: the files have licences of their own."""


def found(benchmark: str, folder: Path, out: Path) -> list[dict[str, str]]:
    assert main(["score", benchmark, str(folder), "--out", str(out)]) == 0
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def public(benchmark: str) -> Path:
    folder = DATA / benchmark
    if not folder.is_dir():
        pytest.skip(f"{benchmark} is not here: set BENCHMARKS to the folder that its data is in")
    return folder


def test_tep_finds_faults_and_leaves_normal_running_alone(tmp_path: Path) -> None:
    rows = found("tep", public("tep"), tmp_path / "tep.csv")
    alarm = {
        name: np.array([int(row["is_anomaly"]) for row in rows if row["file"] == name])
        for name in {row["file"] for row in rows}
    }
    assert alarm["d00_te.dat"].mean() < 0.01
    hidden = {"d00_te.dat", "d15_te.dat"}  # fault 15 is one that nobody finds
    assert np.mean([column[160:].mean() for name, column in alarm.items() if name not in hidden]) > 0.95


ROOTS = {
    4: ("XMV(10)", "XMEAS(9)"),  # cooling water of the reactor
    5: ("XMV(11)", "XMEAS(22)"),  # cooling water of the condenser
    6: ("XMEAS(1)", "XMV(3)"),  # loss of feed A
    7: ("XMEAS(4)", "XMV(4)"),  # pressure of feed C
    10: ("XMEAS(18)",),  # temperature of feed C, which goes into the stripper
    11: ("XMV(10)", "XMEAS(9)"),
    12: ("XMV(11)", "XMEAS(22)"),
    14: ("XMV(10)", "XMEAS(21)"),  # valve of the cooling water of the reactor
}
"""What a fault of the Tennessee Eastman process is at (Downs, Vogel 1993, table 8)."""


def test_tep_names_what_a_fault_is_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found("tep", public("tep"), tmp_path / "tep.csv")
    lines = {line[1:3]: line for line in capsys.readouterr().out.splitlines() if "alarm in row" in line}
    here = [fault for fault in ROOTS if f"{fault:02d}" in lines]
    assert len(here) >= 6
    for fault in here:
        at_once, in_an_hour = lines[f"{fault:02d}"].split(";")
        for named in (at_once, in_an_hour):
            assert any(root in named for root in ROOTS[fault]), lines[f"{fault:02d}"]


def test_skab_beats_the_clock_and_the_constant(tmp_path: Path) -> None:
    rows = found("skab", public("skab"), tmp_path / "skab.csv")
    truth = {}
    for path in public("skab").glob("*/*.csv"):
        with path.open(newline="") as file:
            for row in csv.DictReader(file, delimiter=";"):
                truth[path.parent.name + "/" + path.name, row["datetime"]] = float(row.get("anomaly") or 0) > 0
    seen: dict[str, int] = {}
    hit = false = missed = normal = 0
    for row in rows:
        seen[row["file"]] = seen.get(row["file"], 0) + 1
        if seen[row["file"]] <= 400 or row["file"].startswith("anomaly-free"):
            continue
        wanted, got = truth[row["file"], row["timestamp"]], row["is_anomaly"] == "1"
        hit += wanted and got
        missed += wanted and not got
        false += got and not wanted
        normal += not wanted
    assert hit / (hit + (false + missed) / 2) > 0.84
    assert false / normal < 0.2
    free = [row["is_anomaly"] == "1" for row in rows if row["file"].startswith("anomaly-free")]
    assert np.mean(free) < 0.25


def test_what_is_left_of_engines_is_said_as_well_as_promised(tmp_path: Path) -> None:
    for name in ("train_FD001.txt.gz", "test_FD001.txt.gz"):
        (tmp_path / name).write_bytes((public("cmapss") / name).read_bytes())
    rows = found("cmapss", tmp_path, tmp_path / "rul.csv")
    with (public("cmapss") / "RUL_FD001.csv").open(newline="") as file:
        left = {row["unit"]: min(125.0, float(row["rul"])) for row in csv.DictReader(file)}
    assert (tmp_path / "rul_without_age.csv").exists()
    missed = np.array([float(row["rul"]) - left[row["unit"]] for row in rows])
    assert len(missed) == 100
    assert np.sqrt(np.mean(missed**2)) < 10
    assert np.where(missed < 0, np.exp(-missed / 13) - 1, np.exp(missed / 10) - 1).sum() < 175
    inside = [float(row["lower"]) <= left[row["unit"]] <= float(row["upper"]) for row in rows]
    assert 0.87 < np.mean(inside) < 0.97
    assert np.mean([float(row["upper"]) - float(row["lower"]) for row in rows]) < 34


def test_failures_that_are_rules_are_derived_without_an_error(tmp_path: Path) -> None:
    rows = found("ai4i", public("ai4i"), tmp_path / "ai4i.csv")
    text = gzip.decompress((public("ai4i") / "ai4i2020.csv.gz").read_bytes()).decode("utf-8-sig")
    truth = list(csv.DictReader(text.splitlines()))
    for rule, failures in (("HDF", 115), ("PWF", 95), ("OSF", 98)):
        assert [row[rule] for row in rows] == [row[rule] for row in truth]
        assert sum(row[rule] == "1" for row in rows) == failures


def test_a_folder_without_its_files_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "skab", str(tmp_path), "--out", str(tmp_path / "out.csv")]) == 1
    assert "has no files of skab" in capsys.readouterr().err
    assert main(["score", "skab", str(tmp_path / "gone"), "--out", str(tmp_path / "out.csv")]) == 1
    assert "gone is no folder" in capsys.readouterr().err


def test_nab_is_told_by_alarms_that_come_where_something_happened(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "realTraffic"
    folder.mkdir(parents=True)
    for name in ("occupancy_t4013.csv", "TravelTime_451.csv"):
        (folder / name).write_bytes((public("nab") / "data" / "realTraffic" / name).read_bytes())
    rows = found("nab", tmp_path, tmp_path / "nab.csv")
    windows = json.loads((public("nab") / "labels" / "combined_windows.json").read_text())
    assert len(rows) == 2500 + 2162
    alarms = [(row["file"], row["timestamp"]) for row in rows if float(row["score"]) > 0]
    hit = {(file, begin) for file, time in alarms for begin, end in windows[file] if begin[:19] <= time <= end[:19]}
    assert len(hit) == 3
    assert len(alarms) < 8
