"""Webhooks: events of the plant, sent to whoever is to act on them, by HTTP: signed, once at least, never unseen.

    endpoint.py   one receiver: where it is, what it wants, how patient we are
    letters.py    an event becomes a request: CloudEvents 1.0 over HTTP, signed as Standard Webhooks 1.0 says; pure
    verdict.py    what an answer, or none, means for the event and for the endpoint; pure
    guard.py      which addresses may be asked; pure
    outbox.py     what waits and what was given up, on disk
    post.py       one request over HTTP/1.1, to the address that was checked
    sender.py     hands what waits to one endpoint, and knows how that goes
    desk.py       from the journal's cursor into the outbox, and what the API asks

Knows events by gateway/cloudevents.py, and nothing of the bus.
"""
