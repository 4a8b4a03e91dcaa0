"""The documents say what the program does: every key, every command, every topic; and what they show works."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import _commands
from gateway.cli._process import read_config
from gateway.config import schema
from gateway.plugins import Protocols, signal_kinds

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def keys(part: dict[str, Any]) -> set[str]:
    return set(part["properties"]) - {"tags", "type", "input"}


def test_the_schema_in_the_repository_is_the_programs_own() -> None:
    """`make schema` writes it."""
    stored = json.loads((ROOT / "config" / "schema.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(schema(Protocols(), signal_kinds())))


def test_every_key_is_documented() -> None:
    whole = schema(Protocols(), signal_kinds())
    wanted = set(whole["properties"]).union(*map(keys, whole["$defs"].values()))
    assert not [key for key in sorted(wanted) if not re.search(rf"[`.]{key}[`:.]|^{key}:", CONFIGURATION, re.MULTILINE)]


@pytest.mark.parametrize("document", ["README.md", "docs/configuration.md"])
def test_configurations_that_are_shown_are_accepted(document: str, tmp_path: Path) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    shown = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "site:" in block]
    assert shown
    for block in shown:
        path = tmp_path / "plant.yaml"
        path.write_text(block, encoding="utf-8")
        config, _ = read_config(path)
        assert config.devices


@pytest.mark.parametrize("example", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_accepted(example: Path) -> None:
    assert read_config(example)[0].devices


def test_every_command_says_what_it_is_for() -> None:
    for command in _commands(()):
        assert command.HELP
        assert "gateway" in command.EXAMPLES


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_five_files_of_the_architecture_exist_and_the_test_command_is_the_makefiles() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"```\nmake test\n```", README)
    assert "\ntest:" in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
