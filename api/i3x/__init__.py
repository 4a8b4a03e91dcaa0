"""CESMII i3X 1.0 at /i3x/v1: the plant for clients that know the standard and not us. See docs/i3x.md.

app.py            routes
answers.py        envelopes, bulk answers, errors, gzip
requests.py       what may be asked
space.py          what there is: assets and tags as objects, and how they are related
types.py          their types, as JSON Schema
values.py         readings as value, quality, timestamp, by columns
history.py        what was
updates.py        values that are sent: given back, or written through the door for writes
subscriptions.py  who wants to know of what
queue.py          what waits for a subscriber
"""
