"""What may vary: a mapping from a dotted path in the trial config to a distribution."""

import json
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, ValidationInfo, model_validator

from orchestrator.search.acceptance import is_accepted
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
    def _distinct(self, info: ValidationInfo) -> Self:
        if is_accepted(info):
            return self
        first: dict[str, int] = {}
        for i, value in enumerate(self.values):
            j = first.setdefault(value_key(value), i)
            if j != i:
                text, earlier = json.dumps(value), json.dumps(self.values[j])
                raise ValueError(
                    f"the value {text} is listed twice" + (f", as {earlier} too" if text != earlier else "")
                )
        return self

    def place_of(self, value: JsonValue) -> int:
        """Index of a value that is listed, however it is spelled."""
        return [value_key(listed) for listed in self.values].index(value_key(value))


Distribution = Annotated[Uniform | LogUniform | IntUniform | Choice, Field(discriminator="kind")]
Space = dict[str, Distribution]

Params = dict[str, JsonValue]
"""A sampled point of a space: dotted path in the trial config -> value."""


def value_key(value: JsonValue) -> str:
    """One text for one value: `1` and `1.0` are the same, `1` and `true` are not (Python holds the opposite)."""
    return json.dumps(_normal(value), sort_keys=True)


def point_key(params: Params) -> str:
    """One text for one point."""
    return value_key(params)


def is_below(path: str, outer: str) -> bool:
    """Whether a dotted path leads into what another one names."""
    return path.startswith(f"{outer}.")


def _normal(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {name: _normal(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_normal(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
