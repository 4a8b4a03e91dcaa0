"""Which way a value comes: its node, the subscription or poll that brings it, the session, the link. Pure."""

from collections.abc import Mapping, Sequence

from asyncua import ua

from connectors._opcua.options import TagOptions
from connectors._opcua.publishing import Publishing
from connectors._opcua.remarks import remedy
from connectors._opcua.session import WHERE, Session
from gateway.contracts import Step


def node(options: TagOptions, found: ua.NodeId | None, code: int) -> Step:
    """The node, and the StatusCode with which the server refuses it, 0 if it does not. Values pass as they are."""
    facts = {
        "node": str(options.monitored),
        "node_id": found and found.to_string(),
        "events": options.events is not None,
    }
    if not code:
        return Step("node", str(options.monitored), facts)
    trouble = f"the server refuses it with {ua.StatusCode(ua.UInt32(code)).name}"
    return Step("node", str(options.monitored), facts, trouble, remedy(code))


def rate(
    number: int,
    polls: Mapping[float, Sequence[int]],
    sent: Mapping[float, Sequence[int]],
    events_s: float,
    publishing: Publishing | None,
) -> Step:
    """What brings a tag: a poll, or a subscription, which has a number as soon as all its items are made."""
    for poll_s, numbers in polls.items():
        if number in numbers:
            return Step("poll", f"read every {poll_s:g} s", {"poll_s": poll_s})
    interval_s = next((s for s, numbers in sent.items() if number in numbers), events_s)
    if publishing is None:
        return Step("subscription", f"every {interval_s:g} s", {"publishing_s": interval_s}, "it is not made yet")
    subscription = publishing.subscriptions[list(sent).index(interval_s)].number
    facts = {"publishing_s": interval_s, "subscription": subscription}
    return Step("subscription", f"subscription {subscription}, every {interval_s:g} s", facts)


def way(session: Session) -> list[Step]:
    """The session and the link below it."""
    facts = {"reused": session.reused, "server_restarted": session.restarted, "ahead_s": round(session.ahead_s, 3)}
    if session.connected:
        return [Step("session", "open", facts), Step("link", session.address, {"connected": True})]
    kept = "kept to be taken up again" if session.client is not None else "none"
    return [
        Step("session", kept, facts, "no session is active"),
        Step("link", session.address, {"connected": False}, "there is no connection", WHERE),
    ]
