"""Every field that a user may write says what it means: the string under it is its only documentation."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

import orchestrator.planning.plan
import orchestrator.settings
import orchestrator.spec.experiment
import orchestrator.statistics.comparison
import trainers.config
import trainers.result
import trainers.runtime
from trainers.strict import StrictModel


def every_model(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from every_model(model)


def test_there_are_models_to_look_at() -> None:
    assert trainers.config.TrialConfig in set(every_model(StrictModel))
    assert orchestrator.spec.experiment.ExperimentSpec in set(every_model(StrictModel))


@pytest.mark.parametrize(
    "model",
    sorted({*every_model(StrictModel), orchestrator.settings.Settings}, key=lambda model: model.__qualname__),
    ids=lambda model: model.__qualname__,
)
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    undocumented = [name for name, field in model.model_fields.items() if not field.description and name != "kind"]
    assert undocumented == []


# What a terminal reads of a newer service's answers ignores what it does not know.
CLOSED = {model for model in every_model(StrictModel) if not model.__qualname__.endswith("Reading")}


@pytest.mark.parametrize("model", sorted(CLOSED, key=lambda model: model.__qualname__), ids=lambda m: m.__qualname__)
def test_models_are_frozen_and_closed(model: type[BaseModel]) -> None:
    assert model.model_config.get("frozen") is True
    assert model.model_config.get("extra") == "forbid"
