"""The command line: one module per command, found by its name.

A module here offers HELP and EXAMPLES, `arguments(parser)` and `run(args)`, which returns the exit code: 0 all is
well, 1 a finding, 2 wrong use. FORWARDS says that all options belong to another program. Findings say what, where and
what to do, on stderr.
"""

import argparse
import importlib
import logging
import pkgutil
import sys
from collections.abc import Sequence
from types import ModuleType

from gateway import __version__
from gateway.config import ConfigError

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser(words[:1]).parse_args(words)
    _log_to_stderr(verbose=args.verbose)
    try:
        code: int = args.run(args)
    except ConfigError as error:
        for finding in error.findings:
            print(finding, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"gateway {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return code


def _parser(first: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway",
        description="IT/OT telemetry gateway: OPC UA and Modbus in; MQTT, history, REST and signals out.",
    )
    parser.add_argument("--version", action="version", version=f"gateway {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _commands(first):
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        forwards = getattr(command, "FORWARDS", False)
        one = commands.add_parser(
            name,
            help=command.HELP,
            description=command.HELP,
            epilog=f"examples:\n{command.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=not forwards,
            prefix_chars="\0" if forwards else "-",
        )
        if not forwards:
            one.add_argument("--verbose", action="store_true", help="log what happens, not only what goes wrong")
        command.arguments(one)
        one.set_defaults(run=command.run, verbose=False)
    return parser


def _commands(first: Sequence[str]) -> list[ModuleType]:
    """The modules of the commands; only the one that is called, if one is: others load what it does not need."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))
    called = [name for name in names if name.replace("_", "-") in first]
    return [importlib.import_module(f"{__name__}.{name}") for name in called or names]


def _log_to_stderr(*, verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    for always in ("gateway.writes", "gateway.audit"):  # who wrote what to the plant, and the hashes to note elsewhere
        logging.getLogger(always).setLevel(logging.INFO)
    for talkative in ("asyncua", "pymodbus", "uvicorn"):
        logging.getLogger(talkative).setLevel(logging.CRITICAL)  # what they report, the supervisor says better
