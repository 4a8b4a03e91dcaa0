"""What schemathesis looks at beyond its own checks; it imports this by its name in openapi.toml."""

from typing import Any

import schemathesis


@schemathesis.check
def an_error_is_a_problem(
    context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """Every error is one of RFC 9457, whatever was asked."""
    if response.status_code < 400:
        return
    kind = response.headers["content-type"][0]
    if case.operation.path in ("/readyz", "/healthz") and response.status_code == 503:
        assert kind == "application/health+json", kind
        return
    assert kind == "application/problem+json", kind
    if case.method != "HEAD":
        told = response.json()
        assert told["status"] == response.status_code, told
        assert told["title"], told
        assert told["detail"], told
