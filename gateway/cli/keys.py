"""`gateway keys`: our certificate for OPC UA, and which servers are trusted.

Run it as the user that the gateway runs as: the first call makes our certificate, as the first session would.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from connectors._opcua.pki import Own, Pki, files, read_certificates
from connectors._opcua.validation import subject, thumbprint
from gateway.cli import _process
from gateway.clock import SystemClock

HELP = "show our certificate for OPC UA and those of servers, and trust one of them"
EXAMPLES = """  gateway keys plant.yaml
  gateway keys plant.yaml --trust 0D5F2C61B0C2C1B7D9A1A8F0E6B1F4A8D2C3E4F5   # a thumbprint
  gateway keys plant.yaml --trust data/pki/rejected/certs/filler-0D5F.der"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the configuration, YAML")
    parser.add_argument("--trust", metavar="THUMBPRINT|FILE", help="move a certificate from rejected to trusted")


def run(args: argparse.Namespace) -> int:
    config, _ = _process.read_config(args.config)
    pki = Pki(Path(config.data_dir) / "pki")
    try:
        if args.trust:
            path = pki.accept(args.trust)
            print(f"trusted from the next attempt on: {_facts(path)}")
        else:
            own = pki.own(datetime.fromtimestamp(SystemClock().now_ns() / 1e9, UTC))
            print("\n".join(_told(pki, own, args.config)))
    except (LookupError, ValueError) as error:
        print(f"gateway keys: {error.args[0]}", file=sys.stderr)
        return 1
    return 0


def _told(pki: Pki, own: Own, config: Path) -> Iterator[str]:
    yield f"own certificate: to be trusted by the servers\n    {_facts(pki.own_path)}"
    yield f"    application URI {own.application_uri}"
    yield "trusted"
    yield from (f"    {_facts(path)}" for path in files(pki.trusted))
    yield f"rejected: `gateway keys {config} --trust THUMBPRINT` trusts one"
    yield from (f"    {_facts(path)}" for path in files(pki.rejected))


def _facts(path: Path) -> str:
    """Thumbprint, validity, subject and file of a certificate."""
    try:
        certificate = read_certificates(path)[0]
    except ValueError as error:
        return f"damaged: {error}"
    since, until = certificate.not_valid_before_utc.date(), certificate.not_valid_after_utc.date()
    return f"{thumbprint(certificate)}  {since} to {until}  {subject(certificate)}  {path}"
