"""`gateway check`: everything that can be known about a configuration before it runs."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.cli import _process
from gateway.clock import SystemClock
from gateway.config import schema
from gateway.contracts import DeviceError, Emit
from gateway.model import Batch, Catalog
from gateway.model.quality import name
from gateway.plan import Plan, PlannedDevice, plan
from gateway.plugins import Protocols, signal_kinds

HELP = "check a configuration: all errors at once, with line and remedy"
EXAMPLES = """  gateway check plant.yaml
  gateway check plant.yaml --connect     # and ask every device for every tag
  gateway check plant.yaml --json
  gateway check --schema > schema.json   # of the configuration, for editors"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, nargs="?", help="the configuration, YAML")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of configurations")
    parser.add_argument("--connect", action="store_true", help="read every tag once, and say which cannot be had")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="how long to try each device")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    if args.schema:
        print(json.dumps(schema(Protocols(), signal_kinds()), indent=2, sort_keys=True))
        return 0
    if args.config is None:
        print("gateway check: name a configuration, or --schema", file=sys.stderr)
        return 2
    config, document = _process.read_config(args.config)
    planned = plan(config, document, Catalog(), Protocols(), signal_kinds(), SystemClock())
    for warning in document.warnings:
        print(warning, file=sys.stderr)
    devices = [_facts(device, planned.catalog) for device in planned.devices]
    if args.connect:
        answers = asyncio.run(_connect(planned, args.timeout))
        for facts, answer in zip(devices, answers, strict=True):
            facts |= answer
    if args.json:
        print(json.dumps({"ok": _all_well(devices), "devices": devices, "signals": len(planned.signals)}))
    else:
        print(_text(planned, devices))
    return 0 if _all_well(devices) else 1


def _facts(planned: PlannedDevice, catalog: Catalog) -> dict[str, Any]:
    tags = [catalog[number] for number in planned.numbers.tolist()]
    return {
        "device": planned.name,
        "connect": planned.address,
        "asset": planned.asset,
        "tags": {tag.name: tag.address for tag in tags},
    }


async def _connect(planned: Plan, timeout_s: float) -> list[dict[str, Any]]:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_ask(device, planned.catalog, timeout_s)) for device in planned.devices]
    return [task.result() for task in asked]


async def _ask(planned: PlannedDevice, catalog: Catalog, timeout_s: float) -> dict[str, Any]:
    """Run the connector until every tag has been heard; return which are good, and what is wrong with the others."""
    waiting = set(planned.numbers.tolist())
    wrong: dict[str, str] = {}
    complete = asyncio.Event()

    def take(*batches: Batch) -> None:
        for batch in batches:
            waiting.difference_update(batch.tag.tolist())
            for number, code in zip(batch.tag.tolist(), batch.quality.tolist(), strict=True):
                if code:
                    wrong[catalog[number].name] = name(code)
        if not waiting:
            complete.set()

    error = await _until(complete, planned, take, timeout_s)
    wrong |= {catalog[number].name: "no reading came" for number in sorted(waiting)}
    good = len(planned.numbers) - len(wrong)
    return {"error": error, "good": good, "wrong": wrong, "learned": dict(planned.connector.learned)}


async def _until(complete: asyncio.Event, planned: PlannedDevice, take: Emit, timeout_s: float) -> str:
    """Run the connector until complete; return what went wrong with the device, or nothing."""
    wrong = ""
    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(planned.connector.run(take))
            await complete.wait()
            reading.cancel()
    except* DeviceError as group:
        wrong = "; ".join(map(str, group.exceptions))
    except* OSError as group:
        errors = [str(error) or f"not complete within {timeout_s:g} s" for error in group.exceptions]
        wrong = "; ".join(errors)
        if ": check " not in wrong:  # a connector that knows better has said it
            wrong += ": check the address, the cable and whether the device is on"
    return wrong


def _cost(learned: Mapping[str, Any]) -> str:
    """What reading it costs a device, if its protocol knows: `6 requests/s, 9 % of its reply time`."""
    rate, answer_ms = learned.get("requests_per_s", 0.0), learned.get("answer_ms", 0.0)
    if not rate:
        return ""
    busy = f", {rate * answer_ms / 10:.2g} % of its reply time" if answer_ms else ""
    return f"{rate:g} requests/s{busy}"


def _all_well(devices: list[dict[str, Any]]) -> bool:
    return not any(facts.get("error") or facts.get("wrong") for facts in devices)


def _text(planned: Plan, devices: list[dict[str, Any]]) -> str:
    lines = []
    for facts in devices:
        lines.append(f"{facts['device']}  {facts['connect']}  {facts['asset']}  {len(facts['tags'])} tags")
        wrong = facts.get("wrong", {})
        lines += [f"    {tag:32} {source:44} {wrong.get(tag, '')}".rstrip() for tag, source in facts["tags"].items()]
        if cost := _cost(facts.get("learned", {})):
            lines.append(f"    costs this device {cost}")
        said = [facts["error"]] if facts.get("error") else []
        said += facts.get("learned", {}).get("remarks", [])
        lines += [f"    -> device {facts['device']}: {text}" for text in said]
    lines.append(f"{len(devices)} devices, {len(planned.catalog)} tags, {len(planned.signals)} signals")
    bad = Counter(reason for facts in devices for reason in facts.get("wrong", {}).values())
    lines += [f"{n} tags: {reason}" for reason, n in bad.most_common()]
    return "\n".join(lines)
