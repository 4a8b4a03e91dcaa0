"""`gateway keys`: our certificate, those of servers, and how one is trusted."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from connectors._opcua.pki import Pki
from gateway.cli import main
from tests.certificates import NOW, Made, made, rsa_key

SERVER = made("filler")


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    path = tmp_path / "plant.yaml"
    path.write_text(f"site: {{enterprise: acme, site: dresden}}\ndata_dir: {tmp_path / 'data'}\n", encoding="utf-8")
    return path


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "data" / "pki")


def thumbprint(one: Made) -> str:
    return one.certificate.fingerprint(hashes.SHA1()).hex().upper()


def test_the_first_call_makes_our_certificate_and_shows_what_a_server_needs(
    plant: Path, pki: Pki, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", str(plant)]) == 0
    shown = capsys.readouterr().out
    own = pki.own(NOW)
    assert str(pki.own_path) in shown
    assert f"application URI {own.application_uri}\n" in shown
    assert f"{thumbprint(Made(own.certificate, own.key))}  " in shown
    assert f"{own.certificate.not_valid_after_utc.date()}" in shown
    assert "PRIVATE" not in shown


def test_a_rejected_server_is_trusted(plant: Path, pki: Pki, capsys: pytest.CaptureFixture[str]) -> None:
    kept = pki.reject(SERVER.certificate)
    pki.reject(made("other", key=rsa_key(2)).certificate)
    assert main(["keys", str(plant)]) == 0
    _, _, rejected = capsys.readouterr().out.partition("\nrejected")
    assert f"{thumbprint(SERVER)}  " in rejected
    assert f"CN=filler  {kept}" in rejected
    assert main(["keys", str(plant), "--trust", thumbprint(SERVER)]) == 0
    assert "trusted from the next attempt on" in capsys.readouterr().out
    assert pki.trust().trusted == [SERVER.certificate]
    main(["keys", str(plant)])
    trusted, _, rejected = capsys.readouterr().out.partition("\nrejected")
    assert "CN=filler" in trusted
    assert "CN=filler" not in rejected
    assert "CN=other" in rejected


def test_what_is_not_there_cannot_be_trusted(plant: Path, pki: Pki, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", str(plant), "--trust", "00FF"]) == 1
    assert capsys.readouterr().err == f"gateway keys: 00FF is not in {pki.rejected}\n"


def test_a_damaged_file_is_shown_as_such(plant: Path, pki: Pki, capsys: pytest.CaptureFixture[str]) -> None:
    pki.own(NOW)
    (pki.trusted / "bad.der").write_bytes(b"rubbish")
    assert main(["keys", str(plant)]) == 0
    assert f"damaged: {pki.trusted / 'bad.der'}" in capsys.readouterr().out
