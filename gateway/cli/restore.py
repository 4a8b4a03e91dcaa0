"""`gateway restore`: a copy of history put back, and what came since then taken from the journal again."""

import argparse
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from gateway.cli import _process
from gateway.cli.backup import history_file, told
from gateway.historian.backup import backup
from gateway.historian.history import History
from gateway.historian.schema import engine
from gateway.historian.sink import position
from gateway.journal import JournalFile
from gateway.sqlite import set_aside

HELP = "put a copy of history back, while the gateway is stopped; what the journal has since then is stored again"
EXAMPLES = "  gateway restore plant.yaml /backup/history-2026-01-05.db"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the configuration of the gateway, YAML")
    parser.add_argument("file", type=Path, help="the copy that `gateway backup` made; it stays where it is")


def run(args: argparse.Namespace) -> int:
    config, _ = _process.read_config(args.config)
    target = history_file(config)
    file = Path(config.data_dir) / "journal.db"
    with ExitStack() as closing:
        journal = JournalFile(file) if file.exists() else None  # nobody else has it then, so no gateway runs
        if journal is not None:
            closing.callback(journal.close)
        if findings := told(args.file):
            return findings
        part = target.with_name(f"{target.name}.restored")
        part.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        backup(args.file, part)
        stored = _stored(part, config.id, journal.id if journal is not None else "")
        if journal is not None and "historian" in (positions := journal.positions()):
            journal.commit([], {"historian": min(stored, positions["historian"])})  # first: to store twice does no harm
        if target.exists():
            print(f"{target}: what was there is now {set_aside(target, 'replaced')}")
        part.rename(target)
    print(f"{target}: restored; the gateway can be started")
    return 0


def _stored(file: Path, gateway: str, journal: str) -> int:
    """The position in this journal up to which a history has it. Raises OSError if it cannot be read."""
    history = History(engine(f"sqlite:///{file}"))
    try:
        return position(history.stored(gateway, journal))
    except SQLAlchemyError as error:
        raise OSError(f"{file}: {error}") from error
    finally:
        history.close()
