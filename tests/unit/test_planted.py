"""The bugs of tests/planted.py can be planted: each text is in its file once, and its suite is there."""

import pytest

from tests.planted import BUGS, ROOT, Planted


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_a_bug_can_be_planted(bug: Planted) -> None:
    assert (ROOT / bug.file).read_text(encoding="utf-8").count(bug.text) == 1
    assert (ROOT / bug.suite.partition("::")[0]).is_file()
