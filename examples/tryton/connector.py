"""Tryton and the gateway: productions become orders of a work unit, and what was made of them is booked back.

    TRYTON_PASSWORD=... python connector.py --tryton http://localhost:8000/erp --gateway http://localhost:8080 \\
        --unit "Filling=filler"

    Tryton                         gateway
    waiting                  ->    NotAllowedToStart: its material is not reserved yet
    assigned                 ->    AllowedToStart: the unit takes it when it is free
    running                  <-    Running, and stopped when there are as many good pieces as were planned
    done, with what was good <-    Ended, and its numbers are final
    done                     ->    Closed
    draft, cancelled         ->    Aborted, Closed

Nothing is remembered here. Each turn looks at both sides and takes the next step of every production, and a step that
is taken twice is taken once: an order has the number of its production, wishes have keys of their own, and states on
both sides refuse the rest. So this may be stopped or killed at any moment. It needs nothing but Python.
"""

import argparse
import base64
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

PREFIX = "tryton-"
"""Orders that begin like this are ours."""
OPEN = ("NotAllowedToStart", "AllowedToStart", "Running", "Interrupted")
GOING = ("waiting", "assigned", "running")
PIECES = 0.5
"""Less than half a piece is none: counters have whole ones."""


class Refused(Exception):
    """One of the two does not do what it was asked for, and says why."""


class Tryton:
    """JSON-RPC of trytond. Raises Refused for what Tryton does not allow, OSError if it is away."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = f"{url}/rpc/"
        self._user = user
        self._password = password
        self._session = ""
        self._context: Mapping[str, Any] = {}

    def productions(self, locations: Sequence[str], numbers: Sequence[str]) -> list[dict[str, Any]]:
        """Return the productions that go on at these locations, and those with these numbers."""
        wanted = [
            "OR",
            [("state", "in", GOING), ("location.name", "in", list(locations))],
            [("number", "in", list(numbers))],
        ]
        names = ["number", "state", "quantity", "product", "product.rec_name", "location.name"]
        found: list[dict[str, Any]] = self.call("model.production.search_read", wanted, 0, None, None, names)
        return found

    def run(self, production: Mapping[str, Any]) -> None:
        """Say that it has begun: its inputs are taken from the stock."""
        self.call("model.production.run", [production["id"]])

    def book(self, production: Mapping[str, Any], good: float) -> None:
        """Say what it has come to: so many are put on stock."""
        made = [("production_output", "=", production["id"]), ("product", "=", production["product"])]
        moves = self.call("model.stock.move.search", made, 0, None, None)
        if len(moves) != 1:
            raise Refused(f"its product is in {len(moves)} outputs, not in one: book it by hand")
        self.call("model.stock.move.write", moves, {"quantity": good})
        self.call("model.production.do", [production["id"]])

    def call(self, method: str, *params: Any) -> Any:
        """Call a method, with a session, which is begun anew if it is over."""
        if self._session:
            try:
                return self._called(method, *params, self._context)
            except HTTPError as error:
                if error.code not in (401, 403):
                    raise
        self._session = ""
        user, session, *_ = self._called("common.db.login", self._user, {"password": self._password}, "en")
        self._session = base64.b64encode(f"{self._user}:{user}:{session}".encode()).decode()
        self._context = self._called("model.res.user.get_preferences", True, {})
        return self._called(method, *params, self._context)

    def _called(self, method: str, *params: Any) -> Any:
        headers = {"Authorization": f"Session {self._session}"} if self._session else {}
        answer = asked(self._url, headers, {"id": 1, "method": method, "params": params})
        if "error" in answer:
            raise Refused(f"Tryton: {answer['error']}")
        return answer["result"]


class Gateway:
    """The gateway's REST API. Raises Refused for what it does not take, OSError if it is away."""

    def __init__(self, url: str, token: str) -> None:
        self._url = f"{url}/api/v1"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def orders(self) -> dict[str, str]:
        """Return the state of our orders that are not closed, by number of production."""
        wanted = f"startswith(ID,'{PREFIX}') and not State in ('Closed','Cancelled')"
        url, found = f"{self._url}/odata/Orders?$select=ID,State&$filter={quote(wanted)}", {}
        while url:
            page = asked(url, self._headers)
            found |= {row["ID"].removeprefix(PREFIX): row["State"] for row in page["value"]}
            url = page.get("@odata.nextLink", "")
        return found

    def take(self, production: Mapping[str, Any], unit: str) -> None:
        """Hand over an order; it may start once the material is there."""
        made = {
            "MaterialDefinitionID": [production["product."]["rec_name"]],
            "MaterialUse": "Produced",
            "Quantity": [{"QuantityString": f"{production['quantity']:.9f}".rstrip("0").rstrip(".")}],
        }
        order = {
            "ID": PREFIX + production["number"],
            "HierarchyScope": {"EquipmentID": unit},
            "Command": "Store" if production["state"] == "waiting" else "Start",
            "MaterialRequirement": [made],
        }
        self._post("orders", f"{order['ID']}-take-{order['Command']}", order)

    def command(self, number: str, command: str) -> None:
        """Command an order."""
        self._post(f"orders/{PREFIX}{number}/commands", f"{PREFIX}{number}-{command}", {"Command": command})

    def made(self, number: str) -> tuple[float, bool, int]:
        """Return how many good pieces an order has, whether that is final, and how often a counter was reset."""
        response = asked(f"{self._url}/orders/{PREFIX}{number}", self._headers)["JobResponse"]
        data = {one["ID"]: one["Value"][0]["ValueString"] for one in response["JobResponseData"]}
        final = "EndTime" in response and data.get("KnownUntil", "") >= response["EndTime"]
        return float(data["GoodQuantity"]), final, int(data["CounterResets"])

    def _post(self, path: str, key: str, wish: Mapping[str, Any]) -> None:
        try:
            asked(f"{self._url}/{path}", self._headers | {"Idempotency-Key": f'"{key}"'}, wish)
        except HTTPError as error:
            if error.code not in (404, 409, 422):
                raise
            raise Refused(f"gateway: {json.load(error)['detail']}") from None


def asked(url: str, headers: Mapping[str, str], body: Any = None) -> Any:
    """GET, or POST a body; JSON both ways. Raises OSError, HTTPError is one."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {**headers, "Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


def turn(tryton: Tryton, gateway: Gateway, units: Mapping[str, str]) -> Iterator[str]:
    """Take the next step of each production; yield what was done, and what cannot be."""
    orders = gateway.orders()
    for production in tryton.productions(list(units), list(orders)):
        number = production["number"]
        try:
            unit = units.get(production["location."]["name"], "")
            done = step(tryton, gateway, production, orders.get(number), unit)
        except Refused as error:
            done = f"cannot go on: {error}"
        if done:
            yield f"production {number}: {done}"


def step(tryton: Tryton, gateway: Gateway, production: Mapping[str, Any], order: str | None, unit: str) -> str:
    """Take the next step of a production whose order is in this state; return what that was, if there was one."""
    number, state = production["number"], production["state"]
    if state in GOING and order is None:
        gateway.take(production, unit)
        return f"handed to {unit}"
    if state in ("assigned", "running") and order == "NotAllowedToStart":
        gateway.command(number, "Start")
        return "may start"
    if state in ("draft", "cancelled") and order in OPEN:
        gateway.command(number, "Abort")
        return f"aborted, for it is {state}"
    if state == "assigned" and order in ("Running", "Interrupted", "Ended"):
        tryton.run(production)
        return "runs"
    if state == "running" and order == "Running" and gateway.made(number)[0] > production["quantity"] - PIECES:
        gateway.command(number, "Stop")
        return "enough is made: stopped"
    if state == "running" and order == "Ended":
        good, final, resets = gateway.made(number)
        if final:
            tryton.book(production, good)
            return f"done, {good:g} are good" + (
                f"; some more while a counter was reset, {resets} times" if resets else ""
            )
    if state not in GOING and order in ("Ended", "Aborted"):
        gateway.command(number, "Clear")
        return "closed"
    return ""


def main() -> None:
    """Take turns for ever, and say what happens once."""
    options = argparse.ArgumentParser(description="Hand productions of Tryton to the gateway, and book what was made.")
    options.add_argument("--tryton", required=True, help="where it is, with its database: http://localhost:8000/erp")
    options.add_argument("--user", default="admin", help="of Tryton; the password is in TRYTON_PASSWORD")
    options.add_argument("--gateway", required=True, help="http://localhost:8080; the token is in GATEWAY_TOKEN")
    options.add_argument(
        "--unit", action="append", required=True, help="production location=work unit; may be repeated"
    )
    options.add_argument("--every", type=float, default=10.0, help="seconds between turns (%(default)s)")
    asked_for = options.parse_args()
    tryton = Tryton(asked_for.tryton, asked_for.user, os.environ.get("TRYTON_PASSWORD", ""))
    gateway = Gateway(asked_for.gateway, os.environ.get("GATEWAY_TOKEN", ""))
    units = dict(pair.split("=", 1) for pair in asked_for.unit)
    told: Sequence[str] = ()
    while True:
        try:
            now = list(turn(tryton, gateway, units))
        except (OSError, Refused) as error:
            now = [f"no connection: {error}"]
        for line in now:
            if line not in told:
                print(line, file=sys.stderr, flush=True)
        told = now
        time.sleep(asked_for.every)


if __name__ == "__main__":
    main()
