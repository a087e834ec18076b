"""What may vary: a mapping from a dotted path in the trial config to a distribution."""

import json
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from trainers.strict import StrictModel


class _Range(StrictModel):
    low: float
    """Smallest value."""
    high: float
    """Largest value."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"`low` ({self.low}) must be below `high` ({self.high})")
        return self


class Uniform(_Range):
    """Any number of an interval, all equally likely."""

    kind: Literal["uniform"] = "uniform"


class LogUniform(_Range):
    """Any positive number of an interval, uniform in its logarithm."""

    kind: Literal["log_uniform"] = "log_uniform"

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.low <= 0:
            raise ValueError(f"`low` ({self.low}) must be above 0 for a log_uniform distribution")
        return self


class IntUniform(StrictModel):
    """Any integer of an interval, both ends included."""

    kind: Literal["int_uniform"] = "int_uniform"
    low: int
    """Smallest value."""
    high: int
    """Largest value."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"`low` ({self.low}) must be below `high` ({self.high})")
        return self


class Choice(StrictModel):
    """One of the listed values (the only distribution that a grid accepts)."""

    kind: Literal["choice"] = "choice"
    values: tuple[JsonValue, ...] = Field(min_length=1, max_length=1000)
    """The values, each of them once."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: set[str] = set()
        for value in self.values:
            text = json.dumps(value, sort_keys=True)
            if text in seen:
                raise ValueError(f"the value {text} is listed twice")
            seen.add(text)
        return self


Distribution = Annotated[Uniform | LogUniform | IntUniform | Choice, Field(discriminator="kind")]
Space = dict[str, Distribution]

Params = dict[str, JsonValue]
"""A sampled point of a space: dotted path in the trial config -> value."""
