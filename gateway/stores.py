"""What a gateway keeps on disk, opened together and closed together, with what writes and asks it.

journal.db      every reading until all have it           gateway/journal/
ledger.db       what came and what did not                gateway/ledger/
history.db      every reading by time, or PostgreSQL      gateway/historian/
audit/          who did or was refused what               gateway/audit/
ratings.db      what was advised, and was it right?       gateway/ratings.py
production.db   states, counts and orders                 gateway/production/
alarms.db       how alarms are, and what happened to them gateway/alarms/
webhooks.db     events that are to be sent                gateway/webhooks/
devices.json    what connectors learned of their devices  gateway/learned.py
"""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from gateway.alarming import open_register
from gateway.alarms.keeper import AlarmKeeper
from gateway.alarms.rule import Rule
from gateway.audit import AuditFile, AuditLog
from gateway.clock import ThreadOffload
from gateway.config import Config
from gateway.config.production import Production
from gateway.config.webhooks import Webhook
from gateway.contracts import Clock, Connector, KeepWords, nobody_keeps
from gateway.historian.history import History
from gateway.historian.keeper import AnswerKeeper
from gateway.historian.queries import Queries
from gateway.historian.schema import engine
from gateway.historian.sink import Historian
from gateway.journal import Journal, JournalFile
from gateway.journal.limits import Limits
from gateway.learned import Learned
from gateway.ledger import Ledger, LedgerFile
from gateway.model import Catalog
from gateway.model.method import Method
from gateway.production.desk import Desk
from gateway.production.file import ProductionFile
from gateway.production.keeper import Keeper, Settings
from gateway.production.unit import Unit
from gateway.ratings import Ratings, RatingsFile
from gateway.webhooks.desk import Webhooks
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.outbox import Outbox


class Stores:
    """The stores of one gateway, open until `resources` are closed. Raises OSError if a file is taken.

    `down` says of a sink, by name, why it hands nothing on at the moment, and nothing if it does. `work` runs what
    would block and has no thread of its own.
    """

    def __init__(self, config: Config, clock: Clock, resources: ExitStack, down: Callable[[str], str]) -> None:
        self._clock = clock
        self._resources = resources
        folder = self._folder = Path(config.data_dir)
        self._file = JournalFile(folder / "journal.db")
        resources.callback(self._file.close)
        self.catalog = Catalog()
        self._file.load(self.catalog)
        self.ledger = self._open_ledger(folder / "ledger.db", config.ledger.retention, down)
        self._journaling = self.threads("journal")
        self.journal = Journal(self._file, self._journaling, clock, _limits(config), self.ledger)
        self.audit = self._open_audit(folder / "audit", config.audit.size)
        self.ratings = self._open_ratings(folder / "ratings.db")
        self.learned = Learned(folder / "devices.json")
        self.history, self.historian, self.answers = self._open_history(config)
        self.work = self.threads("work", 2)
        self.queries = None if self.history is None else Queries(self.history, config.history_url, self.work)

    def begin(self, devices: Mapping[str, Connector]) -> None:
        """Keep the numbers of all tags, and account for these devices from now on."""
        self._file.save(self.catalog)
        self.ledger.begin(self._file, self.journal, devices)

    def words(self, device: str) -> KeepWords:
        """Return what takes the answers of a device."""
        return nobody_keeps if self.answers is None else partial(self.answers.keep, device)

    def save(self, catalog: Catalog) -> Awaitable[None]:
        """Keep the numbers of tags, in the thread of the journal. Raises sqlite3.Error."""
        return self._journaling(self._file.save, catalog)

    def open_production(self, units: Sequence[Unit], keys: Production | None) -> tuple[Keeper, Desk] | None:
        """Return who keeps what work units do, and who answers for it; None if production is not configured."""
        if keys is None:
            return None
        file = ProductionFile(self._folder / "production.db")
        self._resources.callback(file.close)
        thread = self.threads("production")
        settings = Settings(self.journal.id, round(keys.retention * 1e9))
        keeper = Keeper(file, thread, self.catalog, self._clock, units, settings)
        return keeper, Desk(keeper, file, thread, self._clock)

    def open_alarms(self, config: Config, rules: Sequence[Rule], methods: Mapping[str, Method]) -> AlarmKeeper | None:
        """Return who keeps the register of alarms; None if alarms are not configured."""
        if config.alarms is None:
            return None
        path, thread = self._folder / "alarms.db", self.threads("alarms")
        parts = (self._resources, thread, self.catalog, self.journal, self._clock)
        return open_register(config.alarms, rules, methods, config.site.path, path, *parts)

    def open_webhooks(self, config: Config, chance: random.Random) -> Webhooks | None:
        """Return who sends what happens to the endpoints; None if there are none. Raises OSError for a CA as well."""
        if not config.webhooks:
            return None
        endpoints = [_endpoint(name, keys, config.site.path) for name, keys in config.webhooks.items()]
        outbox = Outbox(self._folder / "webhooks.db", self._clock.now_ns())
        self._resources.callback(outbox.close)
        parts = (outbox, self.threads("webhooks"), self.catalog, self._clock, chance)
        return Webhooks(endpoints, *parts, config.id, self.journal.id)

    def _open_ledger(self, path: Path, retention_s: float, down: Callable[[str], str]) -> Ledger:
        file = LedgerFile(path)
        self._resources.callback(file.close)
        offload = self.threads("ledger")
        return Ledger(file, offload, self.catalog, self._clock, retention_s=retention_s, down=down)

    def _open_audit(self, folder: Path, size_max: int) -> AuditLog:
        file = AuditFile(folder, size_max, self._clock)
        self._resources.callback(file.close)
        return AuditLog(file, self.threads("audit"), self._clock)

    def _open_ratings(self, path: Path) -> Ratings:
        file = RatingsFile(path)
        self._resources.callback(file.close)
        return Ratings(file, self.threads("ratings"), self.catalog, self._clock)

    def _open_history(self, config: Config) -> tuple[History | None, Historian | None, AnswerKeeper | None]:
        keys = config.historian
        if keys.url == "none":
            return None, None, None
        history = History(engine(config.history_url))
        self._resources.callback(history.close)
        writing = self.threads("history")
        sink = Historian(
            history,
            writing,
            self.catalog,
            self._clock,
            gateway=config.id,
            journal=self.journal.id,
            retention_s=keys.retention,
            retentions_s=keys.retentions,
            size_max=keys.size,
            gave_up=self.ledger.gave_up,
        )
        return history, sink, AnswerKeeper(history, writing, self._clock, keys.words)

    def threads(self, name: str, n: int = 1) -> ThreadOffload:
        """Return what runs work in threads of its own, until the stores are closed."""
        return ThreadOffload(self._resources.enter_context(ThreadPoolExecutor(n, thread_name_prefix=name)))


def _endpoint(name: str, keys: Webhook, site: str) -> Endpoint:
    return Endpoint(
        name,
        keys.url,
        keys.signing,
        site,
        keys.types,
        keys.tags,
        keys.format == "binary",
        keys.timeout,
        keys.retries,
        keys.in_flight,
        keys.order,
        keys.queue,
        keys.full == "drop_newest",
        round(keys.keep * 1e9),
        keys.allow_private is True,
        keys.networks,
        keys.ca,
        keys.headers,
    )


def _limits(config: Config) -> Limits:
    keys = config.journal
    return Limits(keys.memory, keys.size, keys.retention, keys.age, keys.policy, keys.sync)
