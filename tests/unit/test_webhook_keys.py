"""The section `webhooks` of a configuration: what is taken, and what is refused without being quoted."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.webhooks import Webhook
from gateway.config.yaml import parsed
from tests.receiver import KEY, SECRET

GOOD: dict[str, Any] = {"url": "https://erp.example/hook?k=s3cret", "secret": SECRET}


def test_little_is_needed() -> None:
    keys = Webhook.model_validate(GOOD)
    assert keys.signing == [KEY]
    assert (sum(keys.retries), keys.order, keys.allow_private) == (75 * 3600 + 35 * 60 + 5, "any", False)
    assert Webhook.model_validate(GOOD | {"secret": [SECRET, SECRET]}).signing == [KEY, KEY]
    assert "s3cret" not in repr(keys)
    assert SECRET not in repr(keys)


def test_networks_and_headers() -> None:
    more = {"allow_private": ["10.1.0.0/16", "fd00::/8"], "headers": {"X-Api-Key": "abc"}, "url": "http://mes:8080/"}
    keys = Webhook.model_validate(GOOD | more)
    assert [str(one) for one in keys.networks] == ["10.1.0.0/16", "fd00::/8"]
    assert keys.headers == {"x-api-key": "abc"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"secret": "s3cret-0123456789abcdef0123456789"}, "a secret is whsec_ and the base64 of 24 to 64 bytes"),
        ({"secret": "whsec_c2hvcnQ="}, "a secret is whsec_ and the base64 of 24 to 64 bytes"),
        ({"secret": "whsec_no base64 no base64 no base64 no base64"}, "a secret is whsec_"),
        ({"secret": []}, "secret: name one at least"),
        ({"url": "http://erp.example/hook"}, "write https://, or allow_private"),
        ({"url": "ftp://erp.example"}, "it must be an https URL"),
        ({"url": "https://u:s3cret@erp.example/"}, "it must be an https URL"),
        ({"url": "https://erp.example:99999/"}, "it is no URL"),
        ({"url": "https://" + "a" * 100 + ".example/"}, "it is no URL"),
        ({"url": "https://erp.example/a b"}, "it has characters that no URL has"),
        ({"url": "https://erp.example/a\r\nX: y"}, "it has characters that no URL has"),
        ({"headers": {"Content-Length": "1"}}, "is no header that can be added"),
        ({"headers": {"webhook-id": "1"}}, "is no header that can be added"),
        ({"headers": {"X": "a\r\nY: s3cret"}}, "the value of a header is printable ASCII"),
        ({"ca": "/nowhere.pem"}, "is no file"),
        ({"allow_private": ["10.1.2.3/16"]}, "is not a valid IPv4 network"),
        ({"retries": ["2d"]}, "less than or equal to 86400"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_no_secret_quoted(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as found:
        Webhook.model_validate(GOOD | more)
    said = " ".join(problem["msg"] for problem in found.value.errors())
    assert says in said
    assert "s3cret" not in said


def test_a_secret_that_is_written_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n", encoding="utf-8")
    said = parsed(json.dumps({"webhooks": {"erp": {"secret": SECRET}}}), "plant.yaml", {})
    assert [finding.what for finding in said.findings] == ["webhooks.erp.secret has a secret written out"]
    for secret in ("${ERP}", f"${{file:{tmp_path / 'secret'}}}"):
        read = parsed(json.dumps({"webhooks": {"erp": {"secret": secret}}}), "plant.yaml", {"ERP": SECRET})
        assert (read.findings, read.data["webhooks"]["erp"]["secret"]) == ([], SECRET)
