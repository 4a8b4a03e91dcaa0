"""The short form of the selftest, as a user runs it: nothing is lost, duplicated or out of order."""

import json
import subprocess
import sys

import pytest


@pytest.mark.timeout(300)
def test_nothing_is_lost_whatever_breaks() -> None:
    words = [sys.executable, "-m", "gateway", "selftest", "--kills", "3", "--seed", "1", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [found[key] for key in ("lost", "duplicated", "reordered", "wrong")] == [0, 0, 0, 0]
    assert (found["ledger_unexplained"], found["ledger_off"]) == (0, 0)
    assert found["produced"] > 500
    assert found["journal_full"] == 1
    assert found["recovery_s_by_fault"]["gateway killed"]["n"] == 3
    assert found["unread"] < 30
