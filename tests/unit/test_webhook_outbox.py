"""The outbox of webhooks: what waits, what was given up, and that both are bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cloudevents import Event
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.letters import DATA_MAX, Letter, letter
from gateway.webhooks.outbox import Counts, Outbox, Waiting
from gateway.webhooks.verdict import Verdict

NOW = 1_767_592_800 * 10**9
SECOND = 10**9
ERP = Endpoint("erp", "https://erp.example/hook", (b"k" * 32,), queue=5)
MES = Endpoint("mes", "https://mes.example/hook", (b"k" * 32,))


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "webhooks.db", NOW)
    yield box
    box.close()


def one(n: int, **value: Any) -> Letter:
    return letter(Event("acme/test/filler/alarms", f"gw1-1-{n}-1", "2026-01-05T06:00:00.000000Z", value))


def put(box: Outbox, *n: int, endpoint: Endpoint = ERP, asset: str = "filler", now: int = NOW) -> dict[str, int]:
    counted = box.put([(endpoint, asset, one(k)) for k in n], "journal", max(n), now)[endpoint.name]
    assert counted["events_queued"] == len(n)
    return {"dropped": counted["events_dropped"], "forgotten": counted["events_forgotten"]}


def ids(found: list[Waiting]) -> list[str]:
    return [waiting.letter.id for waiting in found]


def failed(box: Outbox, waiting: Waiting, wait_s: float, *, away: bool = True, endpoint: Endpoint = ERP) -> None:
    box.settle(endpoint, waiting, Verdict("again", "refused", NOW + round(wait_s * SECOND), away=away), NOW)


def test_what_was_put_waits_until_it_is_delivered_also_after_a_restart(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "webhooks.db", NOW)
    put(box, 1, 2, 3)
    put(box, 3, endpoint=MES)
    first, *_ = box.due(ERP, NOW, 10)
    assert first.letter == one(1)
    box.settle(ERP, first, Verdict("delivered"), NOW)
    box.close()
    box = Outbox(tmp_path / "webhooks.db", NOW + 5)
    assert ids(box.due(ERP, NOW, 10)) == [one(2).id, one(3).id]
    assert ids(box.due(ERP, NOW, 1)) == [one(2).id]
    assert ids(box.due(MES, NOW, 10)) == [one(3).id]
    assert box.reached("journal") == (3, NOW)
    assert box.reached("another journal") == (0, NOW)
    box.close()


def test_what_failed_waits_for_its_time(outbox: Outbox) -> None:
    put(outbox, 1, 2)
    failed(outbox, outbox.due(ERP, NOW, 10)[0], 5)
    assert ids(outbox.due(ERP, NOW, 10)) == [one(2).id]
    assert outbox.next_due(ERP, NOW) == NOW + 5 * SECOND
    later = outbox.due(ERP, NOW + 5 * SECOND, 10)
    assert [(waiting.letter.id, waiting.attempts) for waiting in later] == [(one(2).id, 0), (one(1).id, 1)]
    assert outbox.due(ERP, NOW - 5 * 86_400 * SECOND, 10) != [], "the clock was set back"


def test_what_waits_because_the_endpoint_was_away_goes_when_it_is_back(outbox: Outbox) -> None:
    put(outbox, 1, 2)
    first, second = outbox.due(ERP, NOW, 10)
    failed(outbox, first, 3600)
    failed(outbox, second, 3600, away=False)
    outbox.hasten(ERP, NOW + 1)
    assert ids(outbox.due(ERP, NOW + 1, 10)) == [one(1).id]


@pytest.mark.parametrize(("order", "may_go"), [("any", [2, 3, 4]), ("asset", [3]), ("all", [])])
def test_order(outbox: Outbox, order: Any, may_go: list[int]) -> None:
    endpoint = Endpoint("erp", "https://erp.example", (), order=order)
    put(outbox, 1, 2, endpoint=endpoint, asset="filler")
    put(outbox, 3, 4, endpoint=endpoint, asset="capper")
    failed(outbox, outbox.due(endpoint, NOW, 10)[0], 5, endpoint=endpoint)
    assert ids(outbox.due(endpoint, NOW, 10)) == [one(n).id for n in may_go]
    assert outbox.next_due(endpoint, NOW) == NOW + 5 * SECOND


@pytest.mark.parametrize(("drop_newest", "left"), [(False, [4, 5, 6, 7, 8]), (True, [1, 2, 3, 4, 5])])
def test_beyond_its_bound_events_are_given_up_counted_and_listed(
    outbox: Outbox, drop_newest: bool, left: list[int]
) -> None:
    endpoint = Endpoint("erp", "https://erp.example", (), queue=5, drop_newest=drop_newest)
    assert put(outbox, 1, 2, 3, endpoint=endpoint) == {"dropped": 0, "forgotten": 0}
    assert put(outbox, 4, 5, 6, 7, 8, endpoint=endpoint) == {"dropped": 3, "forgotten": 0}
    assert ids(outbox.due(endpoint, NOW, 10)) == [one(n).id for n in left]
    assert {dead["error"] for dead in outbox.dead(endpoint, 0, 10)} == {"dropped, for more than 5 waited"}
    assert put(outbox, 9, 10, 11, 12, endpoint=endpoint) == {"dropped": 4, "forgotten": 2}
    assert outbox.counts(endpoint) == Counts(5, 5, NOW)


def test_what_was_given_up_is_kept_for_a_while_and_can_be_sent_again(outbox: Outbox) -> None:
    put(outbox, 1, 2, 3)
    for waiting in outbox.due(ERP, NOW, 10):
        outbox.settle(ERP, waiting, Verdict("dead", "it answers 500"), NOW)
    listed = outbox.dead(ERP, 0, 2)
    assert [(dead["id"], dead["attempts"], dead["error"]) for dead in listed] == [
        (one(1).id, 1, "it answers 500"),
        (one(2).id, 1, "it answers 500"),
    ]
    assert [dead["id"] for dead in outbox.dead(ERP, listed[-1]["number"], 2)] == [one(3).id]
    assert outbox.replay(ERP, NOW + 1, ids=[one(2).id, "unknown"], between_ns=None) == (1, 0)
    assert [(w.letter.id, w.attempts) for w in outbox.due(ERP, NOW + 1, 10)] == [(one(2).id, 0)]
    assert outbox.replay(ERP, NOW + 1, ids=None, between_ns=(0, NOW)) == (0, 0)
    put(outbox, 4, 5, 6)
    assert outbox.replay(ERP, NOW + 1, ids=None, between_ns=(NOW, NOW + 1)) == (1, 1), "no more than 5 may wait"
    put(outbox, 7, now=NOW + ERP.keep_ns + 1)
    assert [dead["id"] for dead in outbox.dead(ERP, 0, 10)] == [one(1).id], (
        "it was dropped just now; that of old is gone"
    )


def test_too_large_an_event_is_never_sent(outbox: Outbox) -> None:
    large = one(1, Message="x" * DATA_MAX)
    outbox.put([(ERP, "filler", large)], "journal", 1, NOW)
    (dead,) = outbox.dead(ERP, 0, 10)
    assert (dead["id"], dead["data"]) == (large.id, None)
    assert f"is more than {DATA_MAX}" in dead["error"]
    assert outbox.replay(ERP, NOW, ids=[large.id], between_ns=None) == (0, 0)


def test_an_endpoint_is_gone_at_its_url_and_what_waits_goes_on_waiting(outbox: Outbox) -> None:
    put(outbox, 1)
    outbox.settle(ERP, outbox.due(ERP, NOW, 1)[0], Verdict("gone", "it answers 410", NOW), NOW)
    moved = Endpoint("erp", "https://erp.example/elsewhere", ())
    assert (outbox.gone(ERP), outbox.gone(moved), outbox.gone(MES)) == (True, False, False)
    assert [(w.letter.id, w.attempts) for w in outbox.due(ERP, NOW, 1)] == [(one(1).id, 0)]
    outbox.enable(ERP)
    assert not outbox.gone(ERP)


def test_what_waits_for_an_endpoint_that_is_not_configured_is_kept_for_a_month(outbox: Outbox) -> None:
    put(outbox, 1, 2)
    put(outbox, 3, endpoint=MES)
    assert outbox.strangers(["mes"], NOW) == {"erp": 2}
    assert outbox.strangers(["mes"], NOW + 31 * 86_400 * SECOND) == {}
    assert outbox.counts(MES).waiting == 1


def test_a_damaged_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "webhooks.db").write_bytes(b"no database at all" * 1000)
    Outbox(tmp_path / "webhooks.db", NOW).close()
    assert "is damaged" in caplog.text
    assert (tmp_path / "webhooks.db.damaged-1").exists()
