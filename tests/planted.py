"""Bugs that the suites must notice: `python -m tests.planted` plants each in a copy of the tree and runs one suite.

A suite that stays green with a bug in the code is worth nothing there, however many lines it covers. Not part of the
normal test run, because it runs each suite again and again; some minutes.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TREE = ("gateway", "connectors", "simulators", "api", "config", "tests", "pyproject.toml")


@dataclass(frozen=True)
class Planted:
    """A bug: in this file this text becomes that one, and this suite has to notice."""

    what: str
    file: str
    text: str
    bug: str
    suite: str

    def plant(self, tree: Path) -> None:
        path = tree / self.file
        source = path.read_text(encoding="utf-8")
        if source.count(self.text) != 1:
            raise SystemExit(
                f"tests/planted.py: {self.file} has {self.text!r} {source.count(self.text)} times, not once"
            )
        path.write_text(source.replace(self.text, self.bug), encoding="utf-8")

    def uproot(self, tree: Path) -> None:
        shutil.copyfile(ROOT / self.file, tree / self.file)


BUGS = [
    Planted(
        "a fault is found by what is said of another one at the same time",
        "gateway/backtest/judge.py", "finding.names(one.cause)] or met", "finding.names(one.cause)] and met or met",
        "tests/unit/test_backtest_judge.py",
    ),
    Planted(
        "in a backtest what signals derive from a second goes to others only in part",
        "gateway/backtest/replay.py", "            coming = updated(wiring.work(coming))\n            yield coming\n",
        "            found = updated(wiring.work(coming))\n            yield found\n            coming = found[:1]\n",
        "tests/simulation/test_backtest.py",
    ),
    Planted(
        "the advice of a signal on trial is an event as any other, and goes to people",
        "gateway/plan.py", "datatype=TRIAL if tag.datatype == EVENT else tag.datatype", "datatype=tag.datatype",
        "tests/unit/test_plan.py",
    ),
    Planted(
        "a machine that is off moves what is known of it",
        "gateway/signals/_asset.py", "        if row.settled:\n", "        if row is not None:\n",
        "tests/property/test_machine_off.py",
    ),
    Planted(
        "an advice that comes once more after a crash stands again, though it was cleared",
        "gateway/ratings.py", "SET cleared = coalesce(cleared, excluded.cleared)", "SET cleared = excluded.cleared",
        "tests/unit/test_ratings.py",
    ),
    Planted(
        "what was told before a restart is not asked of history",
        "api/condition.py", "if number not in found and (before", "if False and (before",
        "tests/unit/test_api_maintenance.py",
    ),
    Planted(
        "an event of an order is told again after a restart, for nobody notices that the journal has it",
        "gateway/production/keeper.py", "self._file.add(edges, reached, told)", "self._file.add(edges, reached)",
        "tests/unit/test_production_news.py",
    ),
    Planted(
        "a counter that was set to another number counts what it shows",
        "gateway/production/track.py", "else Fraction(was) - Fraction(is_)", "else Fraction(was)",
        "tests/property/test_production.py",
    ),
    Planted(
        "a webhook goes to what a name says after its address was checked",
        "gateway/webhooks/post.py", "address, self._port, ssl=", "self._host, self._port, ssl=",
        "tests/unit/test_webhook_post.py",
    ),
    Planted(
        "events that the journal hands over once more after a restart are sent once more",
        "gateway/webhooks/outbox.py", "SET journal = ?, place = ?", "SET journal = ?, place = 0 * ?",
        "tests/unit/test_webhook_sender.py",
    ),
    Planted(
        "what waits for an endpoint that is back goes on waiting for its turn",
        "gateway/webhooks/sender.py", "        if was:\n", "        if not was:\n",
        "tests/unit/test_webhook_sender.py",
    ),
    Planted(
        "a question to history goes on when who asked has left",
        "gateway/historian/queries.py", "self._pipe.write(frame(What.DROP, id))", "pass",
        "tests/integration/test_queries.py",
    ),
    Planted(
        "the query process has all of the gateway's environment, secrets as well",
        "gateway/historian/queries.py",
        "if name in _ENVIRONMENT or name.startswith((\"PYTHON\", \"PG\"))", "if name",
        "tests/integration/test_queries.py",
    ),
    Planted(
        "the query process may write",
        "gateway/historian/schema.py", "PRAGMA query_only = ON", "PRAGMA query_only = OFF",
        "tests/integration/test_queries.py",
    ),
    Planted(
        "who comes back to a stream after a crash misses the records that have the numbers of lost ones",
        "api/feed.py", "await self._end_of(life, min(place, self._plant.head))", "min(place, self._plant.head)",
        "tests/integration/test_stream.py",
    ),
    Planted(
        "a stream that is too slow is not told all that it missed",
        "api/feed.py", "readings + sum(map(match.count, page))", "sum(map(match.count, page))",
        "tests/integration/test_stream.py",
    ),
    Planted(
        "a tag that comes back after it was removed gets another number",
        "gateway/model/catalog.py", "            following.reserve(tag.asset, tag.name)\n", "            pass\n",
        "tests/unit/test_catalog.py",
    ),
    Planted(
        "a device whose address is another one is not connected anew",
        "gateway/config/change.py", "    read = keys or added", "    read = added",
        "tests/property/test_change.py",
    ),
    Planted(
        "signals that stay begin anew when others come",
        "gateway/derive.py", "if self._signals is not self._derived.signals:", "if not self._signals:",
        "tests/unit/test_derive.py",
    ),
    Planted(
        "what signals told before a kill is told again",
        "gateway/derive.py", "unsaid[said] = False", "unsaid[said] = True",
        "tests/unit/test_recall.py",
    ),
    Planted(
        "signals remember a place in the journal that they have not come to",
        "gateway/derive.py",
        "(packed, self._signals, self._position,", "(packed, self._signals, self._journal.appended,",
        "tests/unit/test_recall.py",
    ),
    Planted(
        "a finding that comes back before it was cleared is raised again",
        "gateway/signals/advice.py", "gone >= self._options.off * 1e9", "gone > 0",
        "tests/unit/test_advice.py",
    ),
    Planted(
        "a symptom that contradicts a fault speaks for it",
        "gateway/signals/advice.py", "in symptoms and tag not in there]", "in symptoms and tag in ()]",
        "tests/unit/test_advice.py",
    ),
    Planted(
        "a machine is judged in a way of running that it has not settled in",
        "gateway/signals/_gate.py", "return self._up > self._settle", "return True",
        "tests/conformance/test_signals.py",
    ),
    Planted(
        "a reading of the same time does not replace the one before",
        "gateway/latest.py", "batch.time >= self.time", "batch.time > self.time",
        "tests/property/test_latest.py",
    ),
    Planted(
        "a path that only begins like one with a rule has its rule",
        "api/access.py", 'path.startswith(start + "/")', "path.startswith(start)",
        "tests/unit/test_api_access.py",
    ),
    Planted(
        "a token that has expired is good",
        "api/identity/desk.py", "now_ns < one.expires_ns", "True",
        "tests/unit/test_api_access.py",
    ),
    Planted(
        "a bad tag is bad since its last reading",
        "gateway/latest.py", "self.since[newest.tag[turned]]", "self.since[newest.tag]",
        "tests/property/test_latest.py",
    ),
    Planted(
        "rows of a batch are not sorted by time",
        "gateway/latest.py", "(batch.time[1:] < batch.time[:-1]).any()", "(batch.time[1:] < batch.time[:-1]).all()",
        "tests/property/test_latest.py",
    ),
    Planted(
        "a column that counts up is taken for one that counts only at its beginning",
        "gateway/model/encoding.py", "(np.diff(column) == 1).all()", "(np.diff(column) == 1).any()",
        "tests/property/test_encoding.py",
    ),
    Planted(
        "what comes late from a device's history is told as if it were new",
        "gateway/model/encoding.py", "historical=bool(form & _HISTORICAL)", "historical=False",
        "tests/property/test_encoding.py",
    ),
    Planted(
        "batches that a mailbox drops are not counted",
        "gateway/mailbox.py", "max(0, len(self._batches) + len(batches) - limit)", "0",
        "tests/unit/test_mailbox.py",
    ),
    Planted(
        "a cursor moves before the sink has confirmed",
        "gateway/drain.py",
        "await sink.write(records)\n        cursor.confirm()", "cursor.confirm()\n        await sink.write(records)",
        "tests/unit/test_drain.py",
    ),
    Planted(
        "a commit that failed comes again in the wrong order",
        "gateway/journal/log.py", "extendleft(reversed(group))", "extendleft(group)",
        "tests/unit/test_journal.py",
    ),
    Planted(
        "records that wait for the disk are dropped without being counted",
        "gateway/journal/log.py", 'self._lose("journal_behind", [oldest])', 'self._lose("journal_behind", [])',
        "tests/simulation/test_world.py",
    ),
    Planted(
        "records are forgotten although a cursor still wants them",
        "gateway/journal/file.py", "row[0] <= upto and row[1]", "row[0] <= upto + 1 and row[1]",
        "tests/unit/test_journal_file.py",
    ),
    Planted(
        "a device that was up and is lost is waited for as if it had failed all the time",
        "gateway/supervise.py", "failures = 1 if health.state", "failures = failures + 1 if health.state",
        "tests/unit/test_supervise.py",
    ),
    Planted(
        "a lost device whose clock is ahead keeps its good values",
        "gateway/supervise.py", "np.maximum(now_ns, latest.time[tags])", "np.full(len(tags), now_ns)",
        "tests/unit/test_supervise.py",
    ),
    Planted(
        "a value that did not change while the device was away stays bad",
        "gateway/supervise.py", "                marks.lift()\n", "",
        "tests/unit/test_supervise.py",
    ),
    Planted(
        "a device that is down says nothing of the tags that were good",
        "gateway/supervise.py", "            lost(error)\n", "",
        "tests/simulation/test_world.py",
    ),
    Planted(
        "the first integer that JavaScript cannot hold is written as a number",
        "gateway/payload.py", "_EXACT: Final = 2**53 - 1", "_EXACT: Final = 2**53",
        "tests/property/test_payload.py::test_values_as_the_contract_writes_them",
    ),
    Planted(
        "the word order BADC is taken for CDAB",
        "connectors/_modbus/coding.py", 'in ("CDAB", "DCBA")', 'in ("BADC", "DCBA")',
        "tests/unit/test_registers.py",
    ),
    Planted(
        "a request may be one register too long",
        "connectors/_modbus/blocks.py", "stop - block.start > longest", "stop - block.start - 1 > longest",
        "tests/property/test_blocks.py",
    ),
    Planted(
        "an address that was refused is forgotten at once",
        "connectors/_modbus/profile.py", "        self.refused[span] = code\n", "        self.refused = {span: code}\n",
        "tests/unit/test_scan.py",
    ),
    Planted(
        "what was refused is never asked for again",
        "connectors/_modbus/scan.py", "        if self._codes:\n            await self._probe(ask)\n", "",
        "tests/unit/test_scan.py",
    ),
    Planted(
        "an answer is taken without a look at its unit",
        "connectors/_modbus/flight.py", " if unit == asked_of.number else None", "",
        "tests/unit/test_line.py::test_an_answer_that_is_wrong_in_anything_ends_the_connection",
    ),
    Planted(
        "through RTU a late answer is taken for the next",
        "connectors/_modbus/line.py", "not self._framing.numbered or self._silences", "self._silences",
        "tests/unit/test_line.py::test_a_late_answer_is_never_taken_for_the_next",
    ),
    Planted(
        "a device that loses requests is sent several for ever",
        "connectors/_modbus/line.py", "        if turn.lost_at:\n            turn.unit.depth.lost(turn.lost_at)\n", "",
        "tests/unit/test_line.py::test_a_device_that_loses_all_but_one_costs_one_timeout_in_its_life_and_no_reading",
    ),
    Planted(
        "units do not take turns",
        "connectors/_modbus/line.py", "(self._queue or not turn.todo or", "(not turn.todo or",
        "tests/unit/test_line.py::test_units_take_turns",
    ),
    Planted(
        "a unit that is silent is waited for as if it were not",
        "connectors/_modbus/line.py", "if unit.silent and self._users > 1", "if False",
        "tests/unit/test_line.py::test_a_silent_unit_costs_the_others_little",
    ),
    Planted(
        "a device that only timed out counts as up",
        "gateway/supervise.py", "spoke = any(answered(batch) for batch in batches)", "spoke = bool(batches)",
        "tests/simulation/test_modbus_units.py",
    ),
    Planted(
        "what fails while it is stopped is run again",
        "gateway/supervise.py", "raise asyncio.CancelledError from error", "pass",
        "tests/unit/test_supervise.py",
    ),
    Planted(
        "a counter that falls a little has wrapped",
        "connectors/_modbus/counters.py", "2 * (last - raw) > size", "last > raw",
        "tests/unit/test_counters.py",
    ),
    Planted(
        "a repeated write is written again",
        "gateway/writes.py", "        if asked is None:\n            return", "        if True:\n            return",
        "tests/unit/test_writes.py",
    ),
    Planted(
        "by i3X a bad reading has its value",
        "api/i3x/values.py", "np.flatnonzero(word >= BAD)", "np.flatnonzero(word > BAD)",
        "tests/conformance/test_i3x_values.py",
    ),
    Planted(
        "by i3X whoever may not write is told that it was written",
        "api/i3x/updates.py", '== "BadUserAccessDenied" and await', '== "BadUserAccessDenied" or await',
        "tests/conformance/test_i3x_updates.py",
    ),
    Planted(
        "by i3X a batch that was acknowledged comes again",
        "api/i3x/queue.py", "self._handed[0][0] <= number", "self._handed[0][0] < number",
        "tests/conformance/test_i3x_subscriptions.py",
    ),
    Planted(
        "by i3X a client has the subscriptions of others",
        "api/i3x/subscriptions.py", "found is None or found.client != client", "found is None",
        "tests/conformance/test_i3x_subscriptions.py",
    ),
    Planted(
        "by i3X the parts of a machine's history are cut at different times",
        "api/i3x/history.py", "int(np.searchsorted(one.time, last))", "most // len(series)",
        "tests/conformance/test_i3x_values.py",
    ),
    Planted(
        "who leaves the hub while it is told keeps the next one from hearing",
        "gateway/hub.py", "self._mailboxes = [one for one in self._mailboxes if one is not mailbox]",
        "self._mailboxes.remove(mailbox)",
        "tests/unit/test_hub.py",
    ),
    Planted(
        "what history has of the last reading before a loss is told again",
        "connectors/_opcua/gaps.py", "(gap.after[row] < time)", "(gap.after[row] <= time)",
        "tests/property/test_opcua_gaps.py",
    ),
    Planted(
        "what was told since it was kept how far all was told is told again after a restart",
        "connectors/_opcua/gaps.py", "within &= ~np.isin(", "within &= np.ones_like(within) | np.isin(",
        "tests/property/test_opcua_gaps.py",
    ),
    Planted(
        "how far was told is kept though something is missing before that",
        "connectors/_opcua/gaps.py", "            return None\n", "            pass\n",
        "tests/property/test_opcua_gaps.py",
    ),
    Planted(
        "how far was told is kept before the readings it speaks of",
        "gateway/journal/log.py", "if kept[0] <= self.committed}", "if kept}",
        "tests/unit/test_journal_past.py",
    ),
    Planted(
        "a reading that comes again is counted as replaced",
        "gateway/historian/order.py", " | ((a != a) & (b != b))", "",
        "tests/unit/test_history.py",
    ),
    Planted(
        "what comes again from a queue after it was asked for is told again",
        "connectors/_opcua/gaps.py", "return batch.where(batch.time != self._asked[rows])", "return batch",
        "tests/property/test_opcua_gaps.py",
    ),
    Planted(
        "a gap ends with the second reading after it",
        "connectors/_opcua/gaps.py", "np.minimum.at(gap.before, rows, batch.time)", "gap.before[rows] = batch.time",
        "tests/property/test_opcua_gaps.py",
    ),
    Planted(
        "a change is compared with the reading before, told or not",
        "connectors/_opcua/deadband.py",
        "self._value[at[beyond]], self._quality[at[beyond]] = value[beyond], batch.quality[beyond]",
        "self._value[at], self._quality[at] = value, batch.quality",
        "tests/property/test_opcua_deadband.py",
    ),
    Planted(
        "a percentage is of the range that is configured, whatever the node says",
        "connectors/_opcua/bands.py",
        "self._span.get(number, self._configured.get(number, 0.0))",
        "self._configured.get(number, 0.0)",
        "tests/conformance/test_opcua_deadband.py",
    ),
    Planted(
        "a server that was started anew is asked for the old subscription",
        "connectors/_opcua/session.py", "started is None or started != self._started", "False",
        "tests/integration/test_opcua_faults.py",
    ),
    Planted(
        "a client handle that is not ours is taken for a tag",
        "connectors/_opcua/said.py", "        return batch.where(ours)\n", "        return batch\n",
        "tests/unit/test_opcua_said.py",
    ),
    Planted(
        "what the server says again after a reconnect is told again",
        "connectors/_opcua/said.py", "batch, bits = batch.where(~again), bits[~again]", "pass",
        "tests/unit/test_opcua_said.py",
    ),
    Planted(
        "what a server that counts wrongly never sent is asked for, one by one",
        "connectors/_opcua/publishing.py", "missing if missing <= _BEHIND_MAX else 0", "missing",
        "tests/integration/test_opcua_lies.py",
    ),
    Planted(
        "nodes that are not there are never looked for again",
        "connectors/opcua.py", "        await self._look_again(client, publishing)\n", "",
        "tests/integration/test_opcua_faults.py",
    ),
    Planted(
        "an alarm that is known is told again after every connect",
        "connectors/_opcua/events.py", 'known[key].get("EventId") == value.get("EventId")', "False",
        "tests/conformance/test_opcua_events.py",
    ),
    Planted(
        "an alarm that is told again is taken for one that ended",
        "connectors/_opcua/events.py", "        self._untold.get(number, set()).discard(key)\n", "",
        "tests/conformance/test_opcua_events.py",
    ),
    Planted(
        "a filter of events leaves out what the server says of the stream",
        "connectors/_opcua/event_filter.py", "(operator.Or, of_the_stream,", "(operator.And, of_the_stream,",
        "tests/conformance/test_opcua_events.py",
    ),
    Planted(
        "the last event is told once more when the device falls silent",
        "gateway/cloudevents.py", " & (batch.quality != _SILENT)", "",
        "tests/unit/test_bus_events.py",
    ),
    Planted(
        "the places of texts are counted from the wrong end",
        "connectors/_opcua/layout.py", "np.repeat(begin - end + size, size)", "np.repeat(begin - end, size)",
        "tests/property/test_opcua_decode.py",
    ),
    Planted(
        "a derived tag counts what is true twice as once",
        "gateway/signals/_expression.py", "function(*(np.asarray(part(columns), np.float64) for part in parts))",
        "function(*(part(columns) for part in parts))",
        "tests/property/test_derived.py",
    ),
    Planted(
        "a time is told of before all tags have told of it",
        "gateway/signals/derived.py", "if not self._told and not self._lacking.any():", "if not self._told:",
        "tests/property/test_derived.py",
    ),
    Planted(
        "a baseline goes on learning during its alarm",
        "gateway/signals/_state_detection/shift.py", "fresh = ~self.alarm & ", "fresh = ",
        "tests/property/test_shift.py",
    ),
    Planted(
        "a way is compared with itself, a few rows later",
        "gateway/signals/_state_detection/ways.py", "self._past - self._size + 1)", "self._past)",
        "tests/unit/test_novelty.py",
    ),
    Planted(
        "the limit of the monitor is read off the rows that it was learned from",
        "gateway/signals/_state_detection/monitor.py", "(first + 1 < begin) | (first >= end)", "first >= 0",
        "tests/unit/test_monitor.py",
    ),
    Planted(
        "a structure that is longer than its definition is decoded all the same",
        "connectors/_opcua/structures.py", "cursor.at == cursor.end and cursor.sound", "cursor.sound",
        "tests/conformance/test_opcua_values.py",
    ),
    Planted(
        "a timer that comes early is a turn of its own",
        "connectors/_pace.py", "max(loop.time(), at[turn] + period_s / 4)", "loop.time()",
        "tests/unit/test_pace.py",
    ),
    Planted(
        "minus zero becomes zero in history",
        "gateway/historian/chunk.py",
        "back.view(np.uint64) == value.view(np.uint64)", "back == value",
        "tests/property/test_chunk.py::test_decimals_with_an_odd_one_among_them_come_back",
    ),
    Planted(
        "a chunk that ends where a query begins is left out",
        "gateway/historian/chunks.py", "last_time >= max(start_ns, NEVER)", "last_time > max(start_ns, NEVER)",
        "tests/unit/test_history.py",
    ),
    Planted(
        "a late reading is stored beside the one that it repeats",
        "gateway/historian/order.py", "np.append(~again, True)", "np.append(~again | True, True)",
        "tests/unit/test_history.py",
    ),
    Planted(
        "a repaired tag keeps what it was before, if that was another kind of value",
        "gateway/historian/repair.py", "        if not stays.all():\n", "        if False:\n",
        "tests/property/test_history.py",
    ),
    Planted(
        "words that were not answered are decoded",
        "connectors/_modbus/words.py", "np.where(quality == 0, np.uint32(0), np.uint32(UNASKED))", "quality * 0",
        "tests/unit/test_words.py",
    ),
    Planted(
        "times that other chunks need go with those that were joined",
        "gateway/historian/joining.py", " - needed]:", "]:",
        "tests/property/test_history.py",
    ),
    Planted(
        "chunks are joined although one of them was changed meanwhile",
        "gateway/historian/joining.py", "deleted.rowcount != len(heads) or len(rows) != len(heads)", "not rows",
        "tests/unit/test_history_joining.py",
    ),
    Planted(
        "polls of tags that others bring as well are sorted apart from these",
        "gateway/historian/grid.py", "    if _apart([same[0].series for same in scans.values()]):\n", "    if True:\n",
        "tests/property/test_grid.py",
    ),
    Planted(
        "what comes late is counted twice in the roll-ups",
        "gateway/historian/compact.py", "in sorted(again):", "in sorted(again)[:0]:",
        "tests/unit/test_history.py",
    ),
    Planted(
        "series whose times have the same ends get the same times",
        "gateway/historian/chunks.py", " or (run != self._times[own]).any()", "",
        "tests/unit/test_history.py",
    ),
    Planted(
        "what holds between rows that are merged is lost",
        "gateway/historian/held.py",
        "np.where(goes_on, rows.last, 0.0) * (between", "np.where(goes_on, 0.0, 0.0) * (between",
        "tests/property/test_held.py",
    ),
    Planted(
        "another kind of value that is older is merged as if it came behind",
        "gateway/historian/compact.py",
        "over = _overlapping(known, wide)", "over = set(_overlapping(known, wide)) - _overlapping(known, wide)",
        "tests/property/test_held.py",
    ),
    Planted(
        "of readings of the same time the first is the last",
        "gateway/historian/rollup.py",
        "== largest, np.arange(len(time)), -1)", "== largest, -np.arange(len(time)), -len(time))",
        "tests/property/test_rollup.py",
    ),
    Planted(
        "the last batch of the tail is no answer",
        "gateway/historian/ask.py", "for batch in tail:", "for batch in tail[:-1]:",
        "tests/unit/test_api_history.py",
    ),
    Planted(
        "a page ends where a chunk of it does",
        "gateway/historian/ask.py", ">= most:", ">= 0:",
        "tests/unit/test_api_history.py",
    ),
    Planted(
        "a bad value holds like a good one",
        "gateway/historian/summary.py", "counts = usable & np.isfinite(number)", "counts = np.isfinite(number)",
        "tests/property/test_summary.py",
    ),
    Planted(
        "a damaged chunk is whole",
        "gateway/historian/backup.py", "return str(error)", "return None",
        "tests/unit/test_backup.py",
    ),
    Planted(
        "records that come again are stored again",
        "gateway/historian/sink.py", "if not _known(record, self._stored)", "if True",
        "tests/unit/test_history.py",
    ),
    Planted(
        "an alarm stays once it is there",
        "gateway/signals/drift.py", "size <= self._options.limit / 2 if", "size < 0 if",
        "tests/property/test_drift.py::test_a_shift_raises_the_alarm_and_its_end_clears_it",
    ),
    Planted(
        "points that err together count as if each were right on its own",
        "gateway/signals/_prognosis/trend.py", "n * (1 - alike) / (1 + alike)", "n",
        "tests/property/test_life_trend.py::test_the_interval_holds_what_it_says",
    ),
    Planted(
        "what no machine of the fleet did is judged by the fleet",
        "gateway/signals/_prognosis/model.py", "if beyond.any()", "if beyond.all()",
        "tests/unit/test_fit.py::test_it_is_silent_and_says_why",
    ),
    Planted(
        "a machine teaches what it was after its failure",
        "gateway/signals/_prognosis/course.py", "found[at[i < n]] = made[i < n]", "found[at] = made",
        "tests/unit/test_prognosis.py::test_a_machine_is_the_same_alone_and_beside_others_that_last_longer_or_shorter",
    ),
    Planted(
        "one reading from the future ends a trend for ever",
        "gateway/signals/life_trend.py", "flatnonzero(run >= _BACK)", "flatnonzero(run < 0)",
        "tests/property/test_life_trend.py::test_one_reading_from_the_future_does_not_stop_it_for_ever",
    ),
    Planted(
        "the mean of a waveform is part of its vibration",
        "gateway/signals/_data_manipulation/waveform.py", "x[block] - mean[:, None]", "x[block] - 0.0",
        "tests/property/test_vibration.py::test_a_sine_of_known_amplitude",
    ),
    Planted(
        "what is on its way when a sink is away counts as delivered twice",
        "gateway/ledger/book.py", "record.position > reached and (row", "record.position > 0 and (row",
        "tests/simulation/test_world.py::test_nothing_is_lost_and_all_is_well_when_the_world_heals[3]",
    ),
    Planted(
        "the ledger is taken for complete while the disk keeps records waiting",
        "gateway/ledger/book.py", "self._pending[0][1] if self._pending else now_ns", "now_ns",
        "tests/unit/test_ledger.py",
    ),
    Planted(
        "the requests that a silent device was not asked any more have no cause",
        "gateway/ledger/account.py", "max(0, due - sum(map(len, batches)))", "0",
        "tests/unit/test_ledger.py",
    ),
    Planted(
        "a row of a damaged journal is taken without its seal",
        "gateway/journal/salvage.py", "if sealed == seal(\"tag\", *fields):", "if sealed:",
        "tests/unit/test_journal_salvage.py::test_readings_of_a_tag_whose_name_is_lost_go_to_no_other",
    ),
    Planted(
        "a journal that is thinned out frees no page",
        "gateway/journal/file.py", "if stretch >= _STRETCH_BYTES:", "if stretch >= 1:",
        "tests/unit/test_journal_file.py",
    ),
    Planted(
        "a full file does not make devices wait",
        "gateway/journal/log.py", "self._full or self._waiting_bytes > much", "self._waiting_bytes > much",
        "tests/unit/test_journal.py",
    ),
    Planted(
        "what was answered long before a kill may be missing",
        "gateway/selftest/tally.py", " or connection.ended - time > UNREAD_S_MAX", "",
        "tests/unit/test_selftest.py",
    ),
    Planted(
        "a record counts as delivered before the far side has it",
        "gateway/drain.py", "        await sink.write(records)\n        cursor.confirm()",
        "        cursor.confirm()\n        await sink.write(records)",
        "tests/integration/test_selftest.py",
    ),
    Planted(
        "Sparkplug data counts as written before the broker has taken it",
        "gateway/bus/sparkplug/session.py", "        await mqtt.flush()\n", "",
        "tests/integration/test_sparkplug.py::test_what_the_broker_has_not_taken_is_not_confirmed",
    ),
    Planted(
        "what was in the journal when a device was born is told as news",
        "gateway/bus/sparkplug/node.py", "record.position <= self._born[owner]", "record.position < self._born[owner]",
        "tests/unit/test_sparkplug_node.py",
    ),
    Planted(
        "of a tag that comes several times in a message only what differs from before is told",
        "gateway/bus/sparkplug/changes.py",
        "return batch if self._repeats(rows) else batch.where(news)", "return batch.where(news)",
        "tests/unit/test_sparkplug_node.py",
    ),
    Planted(
        "a bad reading keeps the key of the value that it does not have",
        "gateway/bus/sparkplug/metrics.py", "keep[gone, head - 1 : width]", "keep[gone, head:width]",
        "tests/property/test_sparkplug_metrics.py",
    ),
    Planted(
        "a dead device is buried between two parts of its past",
        "gateway/bus/sparkplug/node.py", "owner not in self._behind and not", "not",
        "tests/unit/test_sparkplug_node.py",
    ),
    Planted(
        "an older STATE of the primary host is heeded",
        "gateway/bus/sparkplug/host.py", " and since_ms >= self._since_ms", "",
        "tests/unit/test_sparkplug_host.py",
    ),
    Planted(
        "a sink that failed gets only the last record again",
        "gateway/drain.py", "written[0][0] <= now() - doubt_s", "written[0][0] <= now()",
        "tests/unit/test_drain.py",
    ),
    Planted(
        "births that are asked for may leave a device out",
        "gateway/bus/sparkplug/watch.py", "self._reborn_from <= self.born.keys()", "True",
        "tests/unit/test_sparkplug_watch.py",
    ),
    Planted(
        "what a device says of a tag goes before the configuration",
        "gateway/model/catalog.py", "unit=added.unit or unit", "unit=unit or added.unit",
        "tests/unit/test_catalog.py",
    ),
    Planted(
        "all that a server says is asked for, also where it says nothing",
        "connectors/_opcua/describing.py", " if any(pair)}", "}",
        "tests/conformance/test_opcua_describing.py",
    ),
    Planted(
        "a batch message that is in our journal already is taken once more after a crash",
        "connectors/_bus/batches.py", "essence(batches) in self._had)", "essence(batches) not in self._had)",
        "tests/integration/test_chain.py",
    ),
    Planted(
        "a number that was missing is taken as often as it comes",
        "connectors/_bus/numbering.py", "(sequence + 1, last)", "(sequence, last)",
        "tests/property/test_bus_numbering.py",
    ),
    Planted(
        "a command that the broker kept is carried out",
        "gateway/commands.py", "        if retained:", "        if False:",
        "tests/integration/test_commands.py",
    ),
    Planted(
        "one refused message among confirmed ones counts as confirmed",
        "gateway/mqtt/flight.py", "self._error = self._error or error", "pass",
        "tests/integration/test_mqtt.py",
    ),
    Planted(
        "an event of an alarm that came back from the journal is told again after a crash",
        "gateway/alarms/register.py", "told=max(self._reached.told, int(number))", "told=self._reached.told",
        "tests/unit/test_alarm_register.py",
    ),
    Planted(
        "a bad value clears an alarm whose delay is over",
        "gateway/alarms/watch.py", "            self.known[rule] = False", "            self.known[rule] = True",
        "tests/property/test_alarm_watch.py",
    ),
]  # fmt: skip


def green(tree: Path, suite: str) -> bool:
    """Whether a suite passes; that it cannot be run at all is an error of this script."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", suite]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"tests/planted.py: {suite} cannot be run:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main() -> int:
    """Plant, run, report; return 1 if a bug went unnoticed."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for part in TREE:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copyfile
            copy(ROOT / part, tree / part)
        red = [suite for suite in sorted({bug.suite for bug in BUGS}) if not green(tree, suite)]
        if red:
            sys.stderr.write(f"red without any planted bug, so they can notice none: {', '.join(red)}\n")
        unnoticed = []
        for bug in BUGS:
            if bug.suite in red:
                continue
            bug.plant(tree)
            if green(tree, bug.suite):
                unnoticed.append(bug)
            bug.uproot(tree)
            sys.stdout.write(f"{'UNNOTICED' if bug in unnoticed else 'noticed'}: {bug.what} ({bug.file})\n")
            sys.stdout.flush()
    return 1 if unnoticed or red else 0


if __name__ == "__main__":
    sys.exit(main())
