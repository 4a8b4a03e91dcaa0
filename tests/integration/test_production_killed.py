"""Production is killed while it writes, again and again: nothing is counted twice and nothing is missing."""

import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

from gateway.production.elements import elements
from tests.feeder import RECORDS, SECOND_NS, UNIT, opened

KILLS = 6


def lived(folder: Path, lines: int | None) -> None:
    """Feed for so many lines and kill it then, or to the end."""
    command = [sys.executable, "-m", "tests.feeder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for n, _ in enumerate(process.stdout, 1):
            if n == lines:
                process.kill()
        process.wait()
    assert (process.returncode == 0) == (lines is None)


def test_killed_while_it_writes_it_still_counts_each_record_once(tmp_path: Path) -> None:
    chance = random.Random(5)
    for _ in range(KILLS):
        lived(tmp_path, chance.randint(20, 500))
    lived(tmp_path, None)
    file, keeper = opened(tmp_path)
    found = elements(keeper.facts(UNIT, 0, RECORDS * SECOND_NS), 0, RECORDS * SECOND_NS)
    stops = 90 * (RECORDS // 1_000) + RECORDS // 1_000 - 1  # the seconds up to 90 of each thousand, from second 1 on
    assert found["PQ"] == 7 * (RECORDS - 2), "the first reading has no step, and the last is not in the range"
    assert found["ADOT"] + found["ADET"] == stops
    assert found["APT"] == RECORDS - 1 - stops
    assert found["unknown"] == Fraction(1), "before the first reading"
    assert found["resets"] == 0
    file.close()
