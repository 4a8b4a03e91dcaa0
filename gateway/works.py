"""From the section `production` of a configuration to its work units, their tags found."""

import difflib
from fractions import Fraction
from zoneinfo import ZoneInfo

from gateway.config.production import DAYS, Production, WorkUnit
from gateway.config.yaml import Document
from gateway.model import Catalog, Tag
from gateway.model.tag import EVENT
from gateway.production.shifts import Calendar, Shift
from gateway.production.states import MODES, STATES, Mode, State, key
from gateway.production.unit import EVENTS, ROLES, Unit


def units(keys: Production | None, site: str, document: Document, catalog: Catalog) -> list[Unit]:
    """Return the units; what is no tag is a finding."""
    if keys is None:
        return []
    shifts = [
        Shift(name, frozenset(map(DAYS.index, one.days)), (one.start, one.end), one.pauses)
        for name, one in keys.shifts.items()
    ]
    calendar = Calendar(ZoneInfo(keys.zone), shifts)
    return [_unit(name, unit, site, calendar, document, catalog) for name, unit in keys.units.items()]


def _unit(name: str, keys: WorkUnit, site: str, calendar: Calendar, document: Document, catalog: Catalog) -> Unit:
    asset = f"{site}/{keys.asset}"
    named = {role: tag for role in ROLES if (tag := getattr(keys, role))}
    roles = {
        role: path
        for role, tag in named.items()
        if (path := _path(("production", "units", name, role), asset, site, tag, document, catalog))
    }
    for tag, what in (("orders", "what happens to orders"), ("stops", "stops that begin, end or are explained")):
        catalog.add(Tag(asset, f"{EVENTS}/{name}/{tag}", datatype=EVENT, description=what))
    return Unit(
        name,
        asset,
        roles,
        {**STATES[keys.standard], **{key(value): State[word.upper()] for value, word in keys.states.items()}},
        {**MODES[keys.standard], **{key(value): Mode[word.upper()] for value, word in keys.modes.items()}},
        None if keys.ideal_cycle is None else Fraction(str(keys.ideal_cycle)),
        keys.rollover,
        round(keys.minor_stop * 1e9),
        round(keys.startup * 1e9),
        round(keys.tell * 1e9),
        calendar,
    )


def _path(where: tuple[str, ...], asset: str, site: str, tag: str, document: Document, catalog: Catalog) -> str | None:
    """The path of a tag that is named below the asset, or from the site on."""
    for path in (f"{asset}/{tag}", f"{site}/{tag}"):
        if path in catalog:
            return path
    near = difflib.get_close_matches(f"{asset}/{tag}", [catalog[number].path for number in catalog], n=1)
    remedy = f"did you mean {near[0].removeprefix(site + '/')}?" if near else f"name a tag of {asset}"
    document.find(where, f"{'.'.join(where)} is no tag: {tag}", remedy)
    return None
