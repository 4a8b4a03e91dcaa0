"""Who somebody is who asks: by a token, a login, or a token of an identity provider. Not what they may: access.py.

    caller.py     who was found, and why somebody was not
    desk.py       from the headers of a request to who asks
    passwords.py  users and their hashes (argon2id), in the same time for whoever there is not
    sessions.py   what a login gives: tokens that end
    oidc.py       tokens of an identity provider (JWT)
    keys.py       its keys, fetched when they are needed and not too often (JWKS)
    pace.py       how often somebody may ask, and try a password

Nothing is kept on disk, and nothing here grows with those who try.
"""
