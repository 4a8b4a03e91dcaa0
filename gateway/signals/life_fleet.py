"""Life by fleet: how long a machine will go on, told from others of its kind that ran until they failed.

    signals:
      pump_life: {type: life_fleet, asset: utilities/pump1, model: pumps.npz}

`gateway fit` makes the model (_prognosis/model.py) of the histories of the others; it has the names of the tags and the
length of a row. Told are the likely time, the interval of 90 % and the basis: `fleet`, or `none` with the reason if
nothing honest can be said (ISO 13374-2, prognosis; ISO 13381-1): too few rows, a life longer than those the fleet tells
apart, and whatever no machine of the fleet did: a way to be run, a tag beyond all that was seen, an age.

Rows in which a tag is bad or not known are left out, and those in which the machine is off (`when`). A machine is new
with the first row: one that was repaired gets a signal with another name, one that was not new a model that was made
without the age.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from gateway.model import Batch, Catalog, Quality, Tag
from gateway.model.batch import objects
from gateway.signals import _asset, _life
from gateway.signals._gate import Formula
from gateway.signals._options import Seconds
from gateway.signals._prognosis.file import unpacked
from gateway.signals._prognosis.model import FleetModel

_REASON: Final = "why nothing can be said of remaining life; empty while something is"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model, and what tells it from others: with another one all that a signal remembers begins anew."""

    path: str
    sum: str
    model: FleetModel = field(compare=False, repr=False)


def read(path: Any) -> ModelFile:
    """Return the model of a file. Raises ValueError with the remedy."""
    if isinstance(path, ModelFile):
        return path
    try:
        data = Path(path).read_bytes()
        return ModelFile(str(path), sha256(data).hexdigest(), unpacked(data))
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be used: {error}; make it with gateway fit") from None


class Options(BaseModel):
    """Keys of a life by fleet."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    asset: str = Field(description="path of the machine below the site, as its device has it")
    model: Annotated[
        ModelFile,
        BeforeValidator(read),
        PlainSerializer(lambda file: f"{file.path} {file.sum}"),
        WithJsonSchema({"type": "string"}),
    ] = Field(description="path of the file that gateway fit has made")
    when: Formula = Field(
        default="", description="formula of tags of the asset: only while it is true the machine grows older"
    )
    settle: int = Field(default=0, ge=0, description="rows for which it must have been true, for the machine to settle")
    late: Seconds = Field(default=2.0, ge=0, description="how long a row waits for readings of other tags")
    hold: int = Field(default=60, ge=0, description="rows for which a tag is what it was, without a reading")

    @property
    def watched(self) -> Sequence[str]:
        return self.rows.watched

    @property
    def rows(self) -> _asset.AssetOptions:
        """How rows are made of readings."""
        known = self.model.model
        keys = self.model_dump(include={"asset", "when", "settle", "late", "hold"})
        return _asset.AssetOptions(**keys, tags=[*known.settings, *known.tags], period=known.period_s)


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    reason = Tag(asset, f"_maintenance/{name}_reason", description=_REASON)
    return {**_life.outputs(name, asset), "reason": reason}


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> "LifeByFleet":
    known = options.model.model
    columns = len(known.settings) + len(known.tags)
    return LifeByFleet(_asset.AssetRows(options.rows, catalog), columns, known, outputs)


class LifeByFleet:
    """One machine, row by row."""

    def __init__(self, rows: _asset.AssetRows, columns: int, known: FleetModel, outputs: Mapping[str, int]) -> None:
        self.inputs = rows.inputs
        self._rows, self._columns = rows, columns
        self._machine, self._after = known.fleet.begin(), known.after
        self._told = _life.Told(outputs)
        self._reason_tag, self._reason = outputs["reason"], ""

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Take readings; those that are no numbers are passed over."""
        found: list[Batch] = []
        for row in self._rows.take(batch):
            known = row.judged[: self._columns]
            if np.isfinite(known).all():
                life, reason = self._after(self._machine, known)
                found += self._told.of(row.time_ns, life, "fleet")
                found += self._why(row.time_ns, reason)
        return found

    def _why(self, time_ns: int, reason: str) -> Sequence[Batch]:
        """Tell the reason when it changes."""
        before, self._reason = self._reason, reason
        return [] if reason == before else [Batch.of([self._reason_tag], time_ns, objects([reason]), Quality.GOOD)]
