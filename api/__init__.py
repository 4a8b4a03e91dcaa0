"""The HTTP side: REST for IT, a live page for people. FastAPI; OpenAPI 3.1.

plant.py      what the application hands in; the API knows nothing else of the gateway
app.py        the application: routes, errors, headers
access.py     who may ask what: roles, scopes, tags
identity/     who asks: tokens, users, an identity provider
login.py      /api/v1/login, logout, session
audit.py      /api/v1/audit
problems.py   every error as problem+json (RFC 9457)
times.py      points in time as people and programs write them
why.py        /api/v1/tags/.../why and lineage: the way of a value, and what is wrong with it
browse.py     /api/v1/assets, tags, devices
readings.py   /api/v1/values
history.py    /api/v1/history
aligned.py    /api/v1/history of several tags at the same times
forms.py      JSON, lines of JSON, CSV; ETags
ledger.py     /api/v1/ledger
writes.py     /api/v1/writes: a thing that changes the plant
calls.py      /api/v1/calls: the other one
stream.py     /api/v1/stream: readings as they come (server-sent events)
present.py    the latest readings as JSON, and what is kept of them
fast.py       the shortest way to them
feed.py       what the streams read
i3x/          /i3x/v1: CESMII's i3X 1.0
health.py     /livez /readyz /healthz /metrics
page/         the live page: plain HTML, CSS and JavaScript, nothing from elsewhere
"""
