"""Webhooks, the part that is pure: what is sent and to whom, and what an answer means."""

import json
import random
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any
from urllib.parse import unquote

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.cloudevents import Event
from gateway.config.webhooks import SCHEDULE_S
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.guard import refusal
from gateway.webhooks.letters import letter, request, signature
from gateway.webhooks.verdict import Answer, judge, retry_after_s

NOW_NS = 1_767_592_800 * 10**9
TIME = "2026-01-05T06:00:00.000000Z"
SOURCE = "acme/test/packaging/line1/filler/alarms"
KEY, OLD = b"0123456789abcdef0123456789abcdef", b"an older key of 24 bytes"
ERP = Endpoint("erp", "https://erp.example/hooks/s3cret?k=1", (KEY, OLD), "acme/test", retries_s=SCHEDULE_S)


def event(value: dict[str, Any], source: str = SOURCE, id: str = "gw1-7-1234-1", time: str = TIME) -> Event:
    return Event(source, id, time, value)


# --- what is sent -------------------------------------------------------------------------


def test_the_signature_is_that_of_the_standards_example() -> None:
    body = b'{"type":"alarm.raised","timestamp":"2026-01-01T00:00:00Z","data":{"id":"A1"}}'
    assert signature("msg_1", 1_767_225_600, body, KEY) == "v1,fN2b36dgvKt6YzPmT3y/eNi4z8Po8W62Y6SbsBgCcrY="


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text() | st.integers() | st.floats(), max_size=5), st.booleans())
def test_the_standards_own_library_believes_what_is_sent(value: dict[str, Any], binary: bool) -> None:
    second = int(datetime.now(UTC).timestamp())
    headers, body = request(letter(event(value)), (KEY, OLD), second, binary=binary)
    for key in (KEY, OLD):
        Webhook(key).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(b"the key of somebody else").verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(KEY).verify(body + b" ", headers)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=())))
@example(" a machine \ud800\r\n")
def test_whatever_an_alarm_is_called_fits_into_a_header(name: str) -> None:
    one = letter(event({"ConditionName": name}))
    headers, _ = request(one, (KEY,), 7, binary=True)
    h11.Request(method="POST", target="/", headers=[("host", "erp"), *headers.items()])
    assert unquote(headers.get("ce-subject", "")) == name.encode("utf-8", "replace").decode()


def test_structured_is_one_document_and_binary_has_the_attributes_as_headers() -> None:
    value = {"Message": "hot", "ConditionName": "Größe 100 %", "Serial": 2**60}
    said = {"Message": "hot", "ConditionName": "Größe 100 %", "Serial": str(2**60)}
    headers, body = request(letter(event(value)), (KEY,), 7, binary=False)
    assert headers["content-type"] == "application/cloudevents+json"
    told = json.loads(body)
    assert told.pop("data") == said
    binary, data = request(letter(event(value)), (KEY,), 7, binary=True)
    assert json.loads(data) == said
    told["datacontenttype"] = binary.pop("content-type")
    assert {f"ce-{k}": v for k, v in told.items() if k != "datacontenttype"} == {
        name: unquote(text) for name, text in binary.items() if name.startswith("ce-")
    }
    assert binary["ce-subject"] == "Gr%C3%B6%C3%9Fe%20100%20%25"
    assert binary["webhook-id"] == headers["webhook-id"]


def test_the_id_of_a_webhook_is_its_events_own() -> None:
    ids = [
        letter(one).id
        for one in (
            event({}),
            event({}, id="gw1-7-1234-2"),
            event({}, source="acme/test/other/alarms"),
            event({}, time="2026-02-05T06:00:00.000000Z"),  # of a new journal, which counts anew
        )
    ]
    assert len(set(ids)) == 4
    assert letter(event({"Message": "the same, told again"})).id == ids[0]
    assert "." not in ids[0]


@pytest.mark.parametrize(
    ("types", "tags", "wanted"),
    [
        (["*"], ["*"], True),
        (["OrderEvent", "Alarm*"], ["*"], True),
        (["OrderEvent"], ["*"], False),
        (["*"], ["packaging/*"], True),
        (["*"], ["acme/test/packaging/*"], True),
        (["*"], ["*/alarms"], True),
        (["*"], ["utilities/*"], False),
        ([], ["*"], False),
    ],
)
def test_an_endpoint_has_what_it_wants(types: list[str], tags: list[str], wanted: bool) -> None:
    one = Endpoint("erp", "https://erp.example", (KEY,), "acme/test", types, tags)
    assert one.wants(event({"EventType": "AlarmEvent"})) is wanted


def test_what_is_shown_of_an_endpoint_has_no_secret() -> None:
    assert ERP.shown == "https://erp.example/..."
    assert "s3cret" not in repr(ERP.print)
    assert KEY.decode() not in repr(ERP)


# --- what an answer means -----------------------------------------------------------------


def verdict(answer: Answer | str, attempts: int = 1) -> tuple[str, float, float, bool]:
    found = judge(answer, attempts, ERP, NOW_NS, random.Random(0))
    return found.what, (found.due_ns - NOW_NS) / 1e9, found.pause_s, found.away


def test_only_2xx_is_success() -> None:
    assert {verdict(Answer(status))[0] for status in (200, 201, 202, 204, 299)} == {"delivered"}
    failures = (199, 300, 301, 302, 307, 400, 401, 404, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504, 599)
    assert {verdict(Answer(status))[0] for status in failures} == {"again"}
    assert verdict("no answer within 20 s")[0] == "again"
    assert verdict(Answer(410))[0] == "gone"


def test_the_schedule_is_the_standards_and_ends() -> None:
    waits = [verdict(Answer(500), attempt)[1] for attempt in range(1, 10)]
    for wait, least in zip(waits, SCHEDULE_S, strict=True):
        assert least <= wait <= 1.2 * least
    assert sum(SCHEDULE_S) == 75 * 3600 + 35 * 60 + 5, "as the table of the standard adds up"
    assert verdict(Answer(500), 10)[0] == "dead"


def test_what_a_receiver_asks_for_is_waited_for_by_all() -> None:
    what, wait, pause, away = verdict(Answer(503, retry_after="120"))
    assert (what, pause, away) == ("again", 120.0, True)
    assert 120.0 <= wait <= 144.0
    assert verdict(Answer(429, retry_after="1"))[1] >= 5.0, "never earlier than the schedule"


def test_an_event_that_is_refused_is_no_trouble_of_the_endpoint() -> None:
    assert [verdict(Answer(status))[3] for status in (400, 413, 415, 422)] == [False] * 4
    assert [verdict(Answer(status))[3] for status in (301, 401, 403, 404, 408, 429, 500, 503)] == [True] * 8


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("0", 0), ("120", 120), ("-5", 0), ("", 0), ("soon", 0), ("1.5", 0), ("9" * 400, 86_400), ("٣", 0),
        ("Mon, 05 Jan 2026 06:01:00 GMT", 60), ("Mon, 05 Jan 2026 05:00:00 GMT", 0),
        ("Mon, 05 Jan 2026 06:01:00", 60), ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str, wait_s: float) -> None:
    assert retry_after_s(text, NOW_NS) == wait_s


@settings(deadline=None)
@given(st.text())
def test_retry_after_may_be_anything(text: str) -> None:
    assert 0.0 <= retry_after_s(text, NOW_NS) <= 86_400.0


def test_what_it_said_is_one_line_for_people() -> None:
    assert Answer(400, b"line\r\n\x1b[31mtwo\xff" + b"x" * 500).words.startswith("it answers 400: line   [31mtwo\ufffd")
    assert len(Answer(400, b"x" * 500).words) < 230
    assert Answer(502).words == "it answers 502"


# --- where it may go ----------------------------------------------------------------------

PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
PRIVATE = ["10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "fd12::1", "fec0::1", "198.18.0.1", "::ffff:10.0.0.1"]
LOOPBACK = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "::127.0.0.1"]
NEVER = [
    "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200", "168.63.129.16",
    "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
    "255.255.255.255",
]  # fmt: skip


def test_the_internet_may_be_asked_and_nothing_else() -> None:
    assert [address for address in PUBLIC if refusal(address, ERP)] == []
    assert [address for address in [*PRIVATE, *LOOPBACK, *NEVER] if not refusal(address, ERP)] == []


def test_private_networks_may_be_asked_with_leave_but_no_clouds_metadata() -> None:
    inside = Endpoint("mes", "http://mes.plant", (KEY,), private=True)
    assert [address for address in [*PUBLIC, *PRIVATE, *LOOPBACK] if refusal(address, inside)] == []
    assert [address for address in NEVER if address != "255.255.255.255" and not refusal(address, inside)] == []


def test_networks_that_are_named_may_be_asked_and_no_others() -> None:
    networks = [ip_network("10.1.0.0/16"), ip_network("fe80::/10")]
    inside = Endpoint("mes", "http://mes.plant", (KEY,), networks=networks)
    assert [refusal(address, inside) for address in ("10.1.2.3", "fe80::1%eth0", "93.184.216.34")] == [""] * 3
    assert "10.2.0.1 is private, which webhooks.mes.allow_private does not allow" in refusal("10.2.0.1", inside)
