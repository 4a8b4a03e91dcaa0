"""YAML with the line of every key: words mean what YAML 1.2 says, secrets go in and never come out."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import ConfigError, Document, redacted
from gateway.config.yaml import read

SITE = "site: {enterprise: acme, site: dresden}\n"


def read_text(folder: Path, text: str, **environment: str) -> Document:
    path = folder / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return read(path, environment)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SITE + "bus:\n\turl: embedded", 3),
        (SITE + "bus: {url: embedded", 2),
        (SITE + "bus: 'embedded", 2),
        (SITE + "bus: *nowhere", 2),
        (SITE + "a: b: c", 2),
        (SITE + "? [a, b]\n: c", 2),
        (SITE + "a: !!int x", 2),
        (SITE + "a: \x07", 2),
        (SITE + "---\nsite: {enterprise: other, site: other}", 2),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path, text)
    assert abs(caught.value.findings[0].line - line) <= 1


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *((word, word) for word in ("no", "on", "yes", "y", "1_000", "12:30:45", "2026-01-05", "<<", "=", "1.2.3")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("null", "~", "")),
        *(("0x1F", 31), ("0o17", 15), ("017", 17), ("-7", -7), ("'5'", "5"), ("1e3", 1000.0), (".5", 0.5)),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(tmp_path: Path, written: str, value: Any) -> None:
    text = f"key: {written}\nlist: [{written or 'null'}]\n"
    document = read_text(tmp_path, text)
    assert document.data == {"key": value, "list": [value]}
    assert type(document.data["key"]) is type(value)


def test_anchors_and_merges_are_put_in_and_what_is_written_wins(tmp_path: Path) -> None:
    text = "base: &b {a: 1, b: 2}\nmore: &m {c: 3}\nx: {<<: *b, b: 5}\ny: {<<: [*b, *m]}\nz: *b\n"
    data = read_text(tmp_path, text).data
    assert (data["x"], data["y"], data["z"]) == ({"a": 1, "b": 5}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2})


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nosuch\.yaml:1: cannot be read"):
        read(tmp_path / "nosuch.yaml")
    (tmp_path / "latin1.yaml").write_bytes(b"a: \xfc")
    with pytest.raises(ConfigError, match=r"latin1\.yaml:1: cannot be read"):
        read(tmp_path / "latin1.yaml")


YAML_TEXT = st.lists(
    st.sampled_from(
        [
            *"a,#{}[]'\"=@`~ü\n\t\x07\u2028",
            *("  ", "b: ", ": ", "- ", "? ", "&x ", "*x", "<<: ", "!!int ", "!x ", "|\n", ">\n", "---\n", "...\n"),
            *("%YAML 1.1\n", "0x1F", "1.5", "${X}", "${file:x}"),
        ]
    ),
    max_size=25,
).map("".join)


@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(YAML_TEXT)
def test_any_text_is_a_document_or_a_config_error(tmp_path: Path, text: str) -> None:
    try:
        document = read_text(tmp_path, text, X="x")
    except ConfigError as error:
        lines = [finding.line for finding in error.findings]
        assert all(1 <= line <= text.count("\n") + 2 for line in lines)
    else:
        assert isinstance(document.data, dict)


# --- secrets ------------------------------------------------------------------------------


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from the file\n", encoding="utf-8")
    text = f"a: ${{NAME}}\nb: x-${{NAME}}-${{file:{tmp_path}/token}}\n"
    document = read_text(tmp_path, text, NAME="from outside")
    assert document.data == {"a": "from outside", "b": "x-from outside-from the file"}
    assert document.findings == []


def test_a_secret_that_is_missing_is_told_by_its_name(tmp_path: Path) -> None:
    text = f"a:\n  b: ${{NAME}}\nc: ${{file:{tmp_path}/nosuch}}\n"
    one, other = read_text(tmp_path, text).findings
    assert (one.line, one.what, one.remedy) == (2, "a.b needs the environment variable NAME", "export NAME=...")
    assert (other.line, other.remedy) == (3, "write the secret into it")
    assert "c needs the file" in other.what


@pytest.mark.parametrize(
    "url",
    [
        "mqtts://user:hunter2@broker",
        "opc.tcp://u:hunter2@h:4840",
        "mqtt://u:${X}hunter2@b",
        "postgresql://u:hunter2@h/d",
    ],
)
def test_a_password_that_is_written_out_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    text = f"a: {url}\n"
    (finding,) = read_text(tmp_path, text, X="x").findings
    assert finding.what == "a has a password written out"
    assert "hunter2" not in str(finding)


@pytest.mark.parametrize(
    "url",
    [
        "mqtts://user:${PASSWORD}@broker",
        "mqtts://${USER}:${file:/dev/null}@broker",
        "mqtt://user@broker",
        "modbus://h:502?unit=1",
    ],
)
def test_a_url_without_a_written_password_is_fine(tmp_path: Path, url: str) -> None:
    text = f"a: {url}\n"
    assert read_text(tmp_path, text, PASSWORD="p", USER="u").findings == []


SECRETS = ["hunter2", "a/b", "p@ss", "a:b", "ä b", "100%", "#?&", "[]"]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_in_a_url_may_have_any_character_and_is_redacted(tmp_path: Path, secret: str) -> None:
    text = "a: mqtts://user:${PASSWORD}@broker:8883/x\n"
    url = read_text(tmp_path, text, PASSWORD=secret).data["a"]
    parts = urlsplit(url)
    assert (parts.hostname, parts.port, unquote(parts.password or "")) == ("broker", 8883, secret)
    assert redacted(url) == "mqtts://user:***@broker:8883/x"


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(exclude_characters="@/ \n"), min_size=4, max_size=12).map(lambda text: "S3" + text))
def test_no_password_survives_redaction(password: str) -> None:
    assert password not in redacted(f"opc.tcp://user:{password}@host:4840/path")
    assert redacted("opc.tcp://host:4840/path") == "opc.tcp://host:4840/path"
