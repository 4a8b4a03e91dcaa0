"""Keys that kinds of signal have in common."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.model.duration import seconds

Seconds = Annotated[float, BeforeValidator(seconds, json_schema_input_type=str | float)]


class Watching(BaseModel):
    """Keys of a signal that watches tags of an asset, tick by tick."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asset: str = Field(description="path of the machine below the site, as its device has it")
    tags: list[str] = Field(
        default=[], description="names of the tags to watch; all that are numbers, if none is named"
    )
    late: Seconds = Field(default=2.0, ge=0, description="how long a tick waits for readings of other tags")
    hold: int = Field(default=60, ge=0, description="ticks for which a tag is what it was, without a reading")
