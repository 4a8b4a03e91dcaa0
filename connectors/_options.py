"""Kinds of option that several protocols have, for their pydantic models."""

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.model.duration import seconds

Seconds = Annotated[float, BeforeValidator(seconds, json_schema_input_type=str | float), Field(gt=0)]
"""A duration such as `500ms`; seconds as float, above zero."""

STRICT: Final = ConfigDict(extra="forbid", frozen=True)


class Options(BaseModel):
    """Keys of the configuration: unknown ones are errors, and nothing changes after loading."""

    model_config = STRICT
