"""What is in docker/, and what docs/deployment.md and docs/operations.md say: linted, cross-checked, and run.

No container engine runs here; stack.py has what is done instead.
"""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import yaml

from gateway.cli import main
from gateway.config import Config, load, redacted
from gateway.journal.limits import REASONS
from gateway.model.quality import Quality, name
from gateway.plugins import Protocols, shipped, signal_kinds
from tests.exposition import findings
from tests.integration.stack import DOCKER, ROOT, SECRETS, MqttUser, Stack, here, stack
from tests.servers import free_port

YAML_RULES = "{extends: default, rules: {line-length: {max: 120}, document-start: disable}}"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CONFIG_FILES = list((ROOT / "config").rglob("*.yaml"))
DOCS = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("deployment.md", "operations.md")}


@pytest.fixture(scope="module", name="running")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("stack")) as services:
        yield services


# --- linters ------------------------------------------------------------------------------


def lint(tool: str, *arguments: str | Path) -> None:
    """Run a linter of the development environment or the machine; fail with what it says."""
    program = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    if program is None:
        pytest.skip(f"{tool} is not installed; .ci/run installs it")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dockerfile_is_clean() -> None:
    lint("hadolint", DOCKER / "Dockerfile")


def test_compose_file_follows_the_compose_specification() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml")


def test_yaml_files_are_clean() -> None:
    lint("yamllint", "--strict", "--config-data", YAML_RULES, *sorted(DOCKER.glob("*.yaml")))


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    unit = here("gateway.service", {"/opt/gateway/bin/gateway": sys.executable}, tmp_path)
    lint("systemd-analyze", "verify", "--recursive-errors=no", unit)


def test_systemd_finds_the_unit_little_exposed() -> None:
    """The exposure goes from 0 to 10, here in tenths; a unit without any hardening has 9.6."""
    lint("systemd-analyze", "security", "--offline=true", "--threshold=20", DOCKER / "gateway.service")


# --- the image ----------------------------------------------------------------------------


def copied() -> list[str]:
    """Return what the Dockerfile copies from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_all_that_the_dockerfile_copies_is_let_through_and_nothing_else() -> None:
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(copied()) == sorted(let_through)
    assert not [file for file in copied() if not (ROOT / file).exists()]


def test_what_is_copied_makes_a_complete_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling is not installed; .ci/run installs it")
    for file in copied():
        target = tmp_path / "context" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / file).is_dir() else shutil.copy)(ROOT / file, target)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=tmp_path / "context", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
    packages = ("api", "connectors", "gateway", "simulators")
    wanted = {path.relative_to(ROOT).as_posix() for package in packages for path in (ROOT / package).rglob("*.py")}
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "api" / "page").rglob("*.*")}
    wanted |= {
        f"gateway/shipped/{p.relative_to(ROOT / 'config').as_posix()}" for p in (ROOT / "config").rglob("*.yaml")
    }
    assert wanted <= found


def test_versions_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"ARG VERSION={version}\n" in DOCKERFILE
    assert {SERVICES[service]["image"] for service in ("gateway", "simulators")} == {f"itot-gateway:{version}"}


def test_the_lock_of_the_image_agrees_with_those_of_the_project() -> None:
    def pins(file: Path) -> set[tuple[str, str]]:
        return set(re.findall(r"^([\w.-]+)==(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE))

    pinned = pins(DOCKER / "build.lock")
    known = pins(ROOT / "requirements.lock") | pins(ROOT / "requirements-dev.lock")
    packages = {package for package, _ in known}
    assert pinned
    assert not [pin for pin in pinned if pin[0] in packages and pin not in known]


def test_healthcheck_says_why_not(capfd: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}/readyz"
    assert subprocess.run([sys.executable, DOCKER / "healthcheck.py", url], check=False).returncode == 1
    assert "refused" in capfd.readouterr().err


# --- compose ------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_service_has_no_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "network_mode", "pid"} & service.keys()
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert all(mount.endswith(":ro") for mount in service["volumes"] if mount.startswith("."))


def test_no_service_is_root() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert {name: service["user"] for name, service in SERVICES.items() if "itot-gateway" not in service["image"]} == {
        "mosquitto": "1883:1883",
        "postgres": "999:999",
    }


def test_machines_and_offices_meet_in_the_gateway_only() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert networks == {"gateway": {"ot", "it"}, "simulators": {"ot"}, "mosquitto": {"it"}, "postgres": {"it"}}
    assert COMPOSE["networks"]["ot"]["internal"]


def test_all_that_is_referred_to_is_there_and_nothing_else() -> None:
    def used(key: str) -> set[str]:
        return {item.split(":")[0] for service in SERVICES.values() for item in service.get(key, ())}

    files = {mount for mount in used("volumes") if mount.startswith(".")}
    assert not [file for file in files if not (DOCKER / file).is_file()]
    assert used("volumes") - files == COMPOSE["volumes"].keys()
    assert used("secrets") == COMPOSE["secrets"].keys() == set(SECRETS)
    assert used("networks") == COMPOSE["networks"].keys()
    assert used("depends_on") <= SERVICES.keys()


def test_secrets_of_a_configuration_are_mounted_into_its_container() -> None:
    files = {"gateway": "plant.yaml", "mosquitto": "mosquitto.sh"}
    for service, file in files.items():
        read = re.findall(r"/run/secrets/(\w+)", (DOCKER / file).read_text(encoding="utf-8"))
        assert sorted(read) == sorted(SERVICES[service]["secrets"])


def test_gateway_is_published_where_it_listens() -> None:
    port = re.search(r"listen: 0\.0\.0\.0:(\d+)", (DOCKER / "plant.yaml").read_text(encoding="utf-8"))
    assert port is not None
    assert SERVICES["gateway"]["ports"] == [f"127.0.0.1:{port[1]}:{port[1]}"]
    assert f"EXPOSE {port[1]}\n" in DOCKERFILE
    assert f":{port[1]}/readyz" in (DOCKER / "healthcheck.py").read_text(encoding="utf-8")


# --- the configuration of compose, without and with its neighbours -------------------------


def test_configuration_passes_without_any_connection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for secret in SECRETS:
        (tmp_path / secret).write_text("0123456789abcdef0123456789abcdef\n", encoding="utf-8")
    plant = here("plant.yaml", {"/run/secrets": str(tmp_path)}, tmp_path)
    assert main(["check", str(plant)]) == 0
    assert "0123456789abcdef" not in "".join(capsys.readouterr())


def test_missing_secret_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant = here("plant.yaml", {"/run/secrets": str(tmp_path)}, tmp_path)
    assert main(["check", str(plant)]) == 1
    errors = capsys.readouterr().err
    assert all(str(tmp_path / secret) in errors for secret in SERVICES["gateway"]["secrets"])


def test_every_tag_is_good(running: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(running.plant), "--connect"]) == 0, capsys.readouterr().out


def test_healthcheck_of_the_image_passes(running: Stack) -> None:
    check = [sys.executable, str(DOCKER / "healthcheck.py"), f"{running.api}/readyz"]
    assert subprocess.run(check, check=False).returncode == 0


def test_api_wants_the_token(running: Stack) -> None:
    assert httpx.get(f"{running.api}/api/v1/devices", timeout=10).status_code == 401
    devices = running.get("/api/v1/devices").json()
    assert {device["name"] for device in devices} == yaml.safe_load(running.plant.read_text(encoding="utf-8"))[
        "devices"
    ].keys()


def test_history_gets_into_the_database(running: Stack) -> None:
    history = "/api/v1/history/acme/dresden/utilities/cooling/pump1/speed?from=-1h"
    running.gateway.until(lambda: bool(running.get(history).json()["readings"]))


def test_reader_may_listen_and_nothing_else(running: Stack) -> None:
    with (
        MqttUser(running.mqtt_port, "gateway", running.secret("mqtt_password")) as gateway,
        MqttUser(running.mqtt_port, "reader", running.secret("mqtt_reader_password")) as reader,
    ):
        assert gateway.let_in()
        assert reader.let_in()
        assert gateway.subscribe("uns/#")
        assert reader.subscribe("uns/#")
        reader.hear("uns/acme/dresden/utilities/cooling/pump1/_batch")
        reader.publish("uns/forged")
        gateway.publish("uns/genuine")
        assert "uns/forged" not in gateway.hear("uns/genuine")
        reader.hear("uns/genuine")


@pytest.mark.parametrize(("user", "password"), [("", ""), ("reader", "guessed"), ("gateway", ""), ("nobody", "x")])
def test_broker_refuses_strangers(running: Stack, user: str, password: str) -> None:
    with MqttUser(running.mqtt_port, user, password) as stranger:
        assert not stranger.let_in()


# --- what the docs say --------------------------------------------------------------------


def examples() -> list[str]:
    return [
        block for text in DOCS.values() for block in re.findall(r"^```yaml\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize("example", examples())
def test_example_is_accepted(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in re.findall(r"\$\{(\w+)\}", example):
        monkeypatch.setenv(variable, "0123456789abcdef")
    for number, secret in enumerate(re.findall(r"\$\{file:(.+?)\}", example)):
        (tmp_path / str(number)).write_text("0123456789abcdef", encoding="utf-8")
        example = example.replace(secret, str(tmp_path / str(number)))
    (tmp_path / "plant.yaml").write_text(example, encoding="utf-8")
    assert main(["check", str(tmp_path / "plant.yaml")]) == 0


@pytest.mark.parametrize("doc", DOCS)
def test_keys_that_are_named_exist(doc: str) -> None:
    sections = {name: field.default for name, field in Config.model_fields.items()}
    named = re.findall(r"`(bus|journal|historian|api)\.(?!db\b)(\w+)", DOCS[doc])
    assert named
    assert not [f"{section}.{key}" for section, key in named if not hasattr(sections[section], key)]


@pytest.mark.parametrize("doc", DOCS)
def test_links_lead_somewhere(doc: str) -> None:
    for file, anchor in re.findall(r"\]\((?!https?:)([\w./-]*)#?([\w-]*)\)", DOCS[doc]):
        titles = re.findall(r"^#+ (.+)$", (ROOT / "docs" / (file or doc)).read_text(encoding="utf-8"), re.MULTILINE)
        anchors = [re.sub(r"[^\w -]", "", title).replace(" ", "-").lower() for title in titles]
        assert anchor in ["", *anchors], f"{file}#{anchor}"
    files = re.findall(r"`((?:docker|tests)/[\w./]+)`", DOCS[doc])
    assert not [file for file in files if not (ROOT / file).exists()]


def test_every_log_line_is_explained_and_no_other() -> None:
    calls = [
        node
        for package in ("api", "connectors", "gateway")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "log"
    ]
    formats = [
        next(arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))
        for call in calls
    ]
    patterns = [re.sub(r"%[sd]", ".+", re.escape(text)) for text in formats]
    section = DOCS["operations.md"].partition("## Log lines")[2].partition("What a command says")[0]
    lines = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
    assert not [text for text in patterns if not any(re.fullmatch(text, line) for line in lines)]
    assert not [line for line in lines if not any(re.fullmatch(text, line) for text in patterns)]


def test_qualities_that_are_named_exist() -> None:
    named = re.findall(r"`((?:Bad|Uncertain)[A-Z]\w+)`", DOCS["operations.md"])
    assert named
    assert set(named) <= {name(quality) for quality in Quality}


def test_metrics_and_parts_that_are_named_exist(running: Stack) -> None:
    text = running.get("/metrics").text
    assert findings(text) == []
    known = set(re.findall(r"^(\w+)", text, re.MULTILINE))
    named = set(re.findall(r"`((?:gateway|process|python)_\w+)", DOCS["operations.md"]))
    assert {f"gateway_part_lost_{reason}_total" for reason in REASONS} <= named <= known
    health = DOCS["operations.md"].partition("The parts:")[2].partition("## Metrics")[0]
    parts = set(re.findall(r"^\| `(.+?)` \|", health, re.MULTILINE))
    assert parts - {"broker"} == running.get("/readyz").json()["checks"].keys()


# --- secrets ------------------------------------------------------------------------------


def test_password_of_any_characters_arrives_and_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are made by `openssl rand -base64` and by people; within a URL they must not become a part of it."""
    monkeypatch.setenv("MQTT_PASSWORD", "a/b@c:d#e?f%20+g=")
    plant = tmp_path / "plant.yaml"
    plant.write_text(
        'site: {enterprise: acme, site: dresden}\nbus: {url: "mqtt://gateway:${MQTT_PASSWORD}@broker:1883"}\n',
        encoding="utf-8",
    )
    config, _ = load(plant, Protocols(), signal_kinds(), shipped("devices"))
    (url,) = config.bus.urls
    assert urlsplit(url).hostname == "broker"
    assert unquote(urlsplit(url).password or "") == "a/b@c:d#e?f%20+g="
    assert redacted(url) == "mqtt://gateway:***@broker:1883"
