"""What all suites share: the rule that a bug of ours fails the test in which it happened."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_bugs(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """In production the supervisor quarantines a bug and starts again; in a test it is a failure.

    A test that brings a bug of its own says so by the mark `brings_bugs`.
    """
    yield
    messages = [record.getMessage() for record in caplog.get_records("call")]
    if request.node.get_closest_marker("brings_bugs") is None:
        assert not [message for message in messages if "a bug of the gateway" in message]
