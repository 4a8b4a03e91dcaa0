"""Configuration: all that is wrong at once, each with file, line, key and remedy; no error repeats a secret."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import ValidationError

from gateway.config import Config, ConfigError, Document, load
from gateway.config.schema import Historian
from gateway.plugins import Protocols, signal_kinds

SITE = "site: {enterprise: acme, site: dresden}\n"
SIGNAL = SITE + "signals:\n  x: "
PRESS = """\
devices:
  press:
    connect: modbus://10.0.0.7
    asset: forming/press
    tags:
      speed: {register: "holding:40"}
"""

Load = Callable[[str], tuple[Config, Document]]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """Load a text as a configuration; templates come from the folder `devices`."""

    def run(text: str) -> tuple[Config, Document]:
        path = tmp_path / "gateway.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        return load(path, Protocols(), signal_kinds(), tmp_path / "devices")

    return run


def findings(loaded: Load, text: str) -> list[tuple[int, str, str]]:
    """Line, what and remedy of everything that is wrong."""
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    assert all(Path(finding.file).name == "gateway.yaml" for finding in caught.value.findings)
    return [(finding.line, finding.what, finding.remedy) for finding in caught.value.findings]


def test_a_size_of_history_is_for_sqlite() -> None:
    assert Historian.model_validate({"size": "20GB"}).size == 20_000_000_000
    with pytest.raises(ValidationError, match="size is for SQLite"):
        Historian.model_validate({"url": "postgresql://u@h/d", "size": "20GB"})


def test_the_smallest_configuration_has_defaults(loaded: Load) -> None:
    config, _ = loaded(SITE)
    assert (config.site.path, config.id, config.bus.urls, config.bus.root) == (
        "acme/dresden",
        "gw1",
        ["embedded"],
        "uns",
    )
    assert (config.api.host, config.api.port) == ("127.0.0.1", 8080)
    assert config.journal.sync == 0.25


def test_sparkplug_is_off_unless_asked_for_and_takes_the_broker_of_the_bus(loaded: Load) -> None:
    assert loaded(SITE)[0].sparkplug is None
    config, _ = loaded(SITE + "bus: {listen: '127.0.0.1:1999'}\nsparkplug: {}\n")
    assert config.sparkplug is not None
    assert config.bus.addresses(config.sparkplug.urls) == ["mqtt://127.0.0.1:1999"]
    assert (config.sparkplug.writes, config.sparkplug.datatype_in_data) == (False, True)


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("{group: a/b}", "sparkplug.group: 'a/b' is a level of a topic"),
        ("{node: ''}", "sparkplug.node: '' is a level of a topic"),
        ("{primary_host: 'x#'}", "sparkplug.primary_host: 'x#' is a level of a topic"),
        ("{url: embedded}", "sparkplug: url cannot be embedded"),
        ("{url: 'http://x'}", "sparkplug: url must be embedded, mqtt://... or mqtts://..., not 'http'"),
        ("{group: Plant 1}", "sparkplug.group: the embedded broker takes no blanks"),
    ],
)
def test_sparkplug_keys_that_cannot_be(loaded: Load, keys: str, what: str) -> None:
    ((_, found, _),) = findings(loaded, SITE + f"sparkplug: {keys}\n")
    assert found.startswith(what)


def test_a_device_has_the_keys_of_its_protocol(loaded: Load) -> None:
    config, _ = loaded(SITE + PRESS)
    press = config.devices["press"]
    assert (press.asset, press.poll, str(press.tags["speed"].at)) == ("forming/press", 1.0, "holding:40")


@pytest.mark.parametrize(
    ("text", "line", "what", "remedy"),
    [
        ("sight: {enterprise: acme}", 1, "sight is not a key here", "did you mean site?"),
        (SITE + "bus:\n  urll: embedded", 3, "bus.urll is not a key here", "did you mean url?"),
        (SITE + "bus:\n  zzz: 1", 3, "bus.zzz is not a key here", "known are listen, min_interval, per_tag, root, tls"),
        ("site: {enterprise: acme}", 1, "site.site is missing", "add site:"),
        ("id: gw1", 1, "site is missing", "add site:"),
        (SITE + "id: GW 1", 2, "id: 'GW 1' must be lower-case letters, digits, _ or -", ""),
        (SITE + "journal:\n  size: 12 apples", 3, "journal.size: '12 apples' is not a size such as 512MiB or 2GB", ""),
        (SITE + "historian: {retention: long}", 2, "retention: 'long' is not a duration such as 500ms", ""),
        (SITE + "api: {listen: '8080'}", 2, "api.listen: '8080' must be address:port, such as 127.0.0.1:8080", ""),
        (SITE + "api: {listen: 'localhost:70000'}", 2, "must be address:port", ""),
        (SITE + "api: {listen: '0.0.0.0:8080'}", 2, "lets others in, and there are no tokens: add api.tokens", ""),
        (SITE + "bus: {url: 'http://x'}", 2, "bus: url must be embedded, mqtt://... or mqtts://..., not 'http'", ""),
        (SITE + "bus: {version: '5'}", 2, "version 5 is not spoken by the embedded broker: leave version out", ""),
        (SITE + "bus:\n  tls: {key: key.pem}", 3, "key belongs to a certificate: name that as cert", ""),
        (SITE + "bus:\n  tls: {ca: nowhere.pem}", 3, "nowhere.pem is no file: name a PEM file", ""),
        (SITE + "historian: {url: 'mysql://x'}", 2, "url must be sqlite, sqlite:///... or postgresql", ""),
        (SITE + "historian: nothing", 2, "historian", ""),
        (SITE + PRESS.replace("modbus", "modbuss"), 4, "has no known protocol (modbuss)", "did you mean modbus?"),
        (SITE + PRESS.replace("modbus://10.0.0.7", "ftp://x"), 4, "no known protocol (ftp)", "write one of "),
        (SITE + PRESS.replace("    connect: modbus://10.0.0.7\n", ""), 3, "no known protocol (none)", "write one of "),
        (SITE + PRESS.replace("10.0.0.7", "[::1"), 4, "connect is no URL: Invalid IPv6 URL", "write one such"),
        (SITE + PRESS + "    in_flight: many", 8, "press.in_flight: 'many' must be auto, or 1 to ", ""),
        (SITE + PRESS.replace("asset", "aset"), 5, "devices.press.aset is not a key here", "did you mean asset?"),
        (SITE + PRESS.replace("register", "regster"), 7, "speed.regster is not a key here", "did you mean register?"),
        (SITE + PRESS.replace("holding:40", "hold:40"), 7, "'hold:40' is not an address: write area and number", ""),
        (SITE + PRESS.replace("forming/press", "Forming"), 5, "segment 'Forming' must be lower-case", ""),
        (SITE + PRESS.replace("speed:", "_speed:"), 7, "'_speed': names that begin with _ are the gateway's own", ""),
        (SITE + PRESS.split("    tags:")[0], 3, "devices.press has no tags", "write some below tags"),
        (SITE + "devices:\n  press: 5", 3, "devices.press must be a mapping", "write connect, asset and tags below it"),
        (SITE + PRESS + "    template: nosuch", 8, "there is no template nosuch", "see config/devices/"),
        (SIGNAL + "{type: drft, input: a/b}", 3, "signals.x has no known type (drft)", "did you mean drift?"),
        (SIGNAL + "{input: a/b}", 3, "signals.x has no known type (None)", "and one of advice, bank, changes"),
        (SIGNAL + "{type: drift, input: a/b, warmup: 9}", 3, "x.warmup is not a key here", "did you mean warm_up?"),
        (SIGNAL + "{type: drift, input: a/b, weight: 2}", 3, "weight: Input should be less than or equal to 1", ""),
        ("- 1\n- 2", 1, "is not a mapping", "write keys and values"),
        ("", 1, "is not a mapping", "write keys and values"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line_and_remedy(
    loaded: Load, text: str, line: int, what: str, remedy: str
) -> None:
    found = findings(loaded, text)
    assert [where for where, told, way in found if what in told and remedy in way] == [line], found


def test_everything_is_told_at_once_in_order_of_lines(loaded: Load) -> None:
    text = """\
        site: {enterprise: acme, site: Dresden}
        buss: {}
        devices:
          one:
            connect: modbus://x
            asset: a
            tags:
              t: {register: "40001", type: uint17}
              u: {register: nowhere}
          two: {connect: smoke://signals}
        signals:
          s: {type: vibrato, input: a/t}
    """
    assert [line for line, *_ in findings(loaded, text)] == [1, 2, 8, 9, 10, 12]


def test_the_error_reads_as_lines_of_a_compiler(loaded: Load) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.yaml:2: buss is not a key here -> did you mean bus\?$"):
        loaded(SITE + "buss: {}")


def test_keys_that_are_written_twice_are_told(loaded: Load) -> None:
    ((_, what, remedy),) = findings(loaded, SITE + PRESS + '      speed: {register: "holding:41"}')
    assert "devices.press.tags.speed is written twice, in line 8 again" in what
    assert remedy == "write it once"


def test_numbers_may_be_keys_where_they_are_meant(loaded: Load) -> None:
    config, _ = loaded(SITE + PRESS.replace('"holding:40"', '"holding:40", labels: {0: stopped, 6: execute}'))
    assert config.devices["press"].tags["speed"].labels == {0: "stopped", 6: "execute"}


@pytest.mark.parametrize(
    "key",
    [
        "bus: {url: '${SECRET}'}",
        "bus: {url: ['${SECRET}']}",
        "historian: {url: '${SECRET}'}",
        "historian: '${SECRET}'",
        "api: {tokens: {me: '${SECRET}'}}",
        "api: {tokens: ['${SECRET}']}",
        "devices: {x: {connect: '${SECRET}'}}",
    ],
)
def test_no_error_repeats_a_secret(loaded: Load, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SECRET", "Hunter2 short")
    assert "Hunter2" not in str(findings(loaded, SITE + key))


# --- templates ----------------------------------------------------------------------------


def template(tmp_path: Path, text: str) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "meter.yaml").write_text(dedent(text), encoding="utf-8")


METER = SITE + PRESS.split("    tags:")[0] + "    template: meter\n"


def test_a_template_brings_tags_that_the_device_may_override(tmp_path: Path, loaded: Load) -> None:
    template(tmp_path, 'tags:\n  power: {register: "30001", unit: W}\n  energy: {register: "30003"}\n')
    config, _ = loaded(METER + '    tags:\n      power: {register: "30011"}\n')
    tags = config.devices["press"].tags
    assert {name: (str(tag.at), tag.unit) for name, tag in tags.items()} == {
        "power": ("input:10", ""),
        "energy": ("input:2", ""),
    }


def test_what_is_wrong_in_a_template_is_told_with_its_own_file_and_line(tmp_path: Path, loaded: Load) -> None:
    template(tmp_path, 'tags:\n  power: {register: "30001"}\n  energy: {regster: "30003"}\n')
    with pytest.raises(ConfigError) as caught:
        loaded(METER)
    told = [(Path(f.file).name, f.line, f.what) for f in caught.value.findings]
    assert ("meter.yaml", 3, "tags.energy.regster is not a key here") in told


def test_a_template_that_is_nearly_there_is_suggested(tmp_path: Path, loaded: Load) -> None:
    template(tmp_path, "tags: {}")
    assert (7, "there is no template metre", "did you mean meter?") in [
        (line + 1, what, remedy) for line, what, remedy in findings(loaded, METER.replace("meter", "metre"))
    ]


@pytest.mark.parametrize("text", ["", "tags: 5", "tags: [1]", "- x", "tags:\n  x: 5", "tags:\n\tx: 5"])
def test_a_template_that_is_none_is_told(tmp_path: Path, loaded: Load, text: str) -> None:
    template(tmp_path, text)
    with pytest.raises(ConfigError):
        loaded(METER)
