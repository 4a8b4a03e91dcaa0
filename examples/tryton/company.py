"""Make a company to try the connector with: an empty database becomes a bottler with material and one production.

    .venv/bin/python company.py trytond.conf erp 1000

It prints the number of the production, which is assigned.
"""

import sys
from decimal import Decimal
from typing import Any

from proteus import Model, Wizard
from proteus.config import set_trytond

QUANTITY = 10_000


def company() -> None:
    """The company, with the currency that it counts in."""
    currency = Model.get("currency.currency")(name="Euro", code="EUR", symbol="€")
    currency.save()
    party = Model.get("party.party")(name="Acme Bottling")
    party.save()
    wizard = Wizard("company.company.config")
    wizard.execute("company")
    wizard.form.party, wizard.form.currency = party, currency
    wizard.execute("add")


def product(name: str, *, made: bool) -> Any:
    """A product that is counted in pieces."""
    template = Model.get("product.template")(name=name, type="goods", list_price=Decimal(1), producible=made)
    (template.default_uom,) = Model.get("product.uom").find([("name", "=", "Unit")])
    (one,) = template.products
    one.cost_price = Decimal("0.1")
    template.save()
    return template.products[0]


def bottles() -> tuple[Any, Any]:
    """Water in bottles, how it is made, and preforms on stock to make it of."""
    water, preform = product("Still water 0.5 l", made=True), product("Preform", made=False)
    bom = Model.get("production.bom")(name="Still water 0.5 l")
    taken, given = bom.inputs.new(), bom.outputs.new()
    taken.product, taken.quantity = preform, 1
    given.product, given.quantity = water, 1
    bom.save()
    (storage,) = Model.get("stock.location").find([("code", "=", "STO")])
    stock = Model.get("stock.inventory")(location=storage)
    line = stock.lines.new()
    line.product, line.quantity = preform, QUANTITY
    stock.click("confirm")
    return water, bom


def main(configuration: str, database: str, quantity: str) -> None:
    tryton = set_trytond(f"sqlite:///{database}", config_file=configuration)
    company()
    tryton._context = Model.get("res.user").get_preferences(True, {})
    production = Model.get("production")()
    production.product, production.bom = bottles()
    production.quantity = float(quantity)
    production.click("wait")
    production.click("assign_try")
    assert production.state == "assigned", production.state
    print(production.number)


if __name__ == "__main__":
    main(*sys.argv[1:])
