"""What can be plugged in is found by its name, and is what the contract says."""

import pytest

from gateway.plugins import Protocols, shipped, signal_kinds


def test_protocols_are_found_by_the_scheme_of_a_url() -> None:
    protocols = Protocols()
    assert "modbus" in protocols
    assert "opc.tcp" in protocols
    assert "gopher" not in protocols
    assert {"modbus", "opc.tcp"} <= set(protocols)
    with pytest.raises(KeyError):
        protocols["gopher"]


@pytest.mark.parametrize("scheme", sorted(Protocols()))
def test_a_protocol_offers_what_the_contract_names(scheme: str) -> None:
    protocol = Protocols()[scheme]
    assert scheme in protocol.SCHEMES
    assert all(hasattr(protocol, name) for name in ("DeviceOptions", "TagOptions", "address", "connector"))


def test_kinds_of_signal_are_found_by_the_name_of_their_module() -> None:
    kinds = signal_kinds()
    assert {"drift", "vibration"} <= set(kinds)
    assert all(hasattr(kind, name) for kind in kinds.values() for name in ("Options", "outputs", "signal"))


def test_what_is_shipped_is_there() -> None:
    assert shipped("demo.yaml").is_file()
    assert shipped("devices", "eastron_sdm630.yaml").is_file()
