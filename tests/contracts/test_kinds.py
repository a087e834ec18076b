"""Nobody asks which kind something is: what a kind decides, it answers itself, and only its own file may know it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import get_args

import pytest

from orchestrator.search import kinds as search_kinds
from orchestrator.search.algorithm import SearchAlgorithm
from orchestrator.search.early_stopping import EarlyStopping
from orchestrator.search.space import Distribution
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.look_plan import Looks
from trainers import kinds
from trainers.analyses.analysis import Analysis
from trainers.analyses.targets import TargetConfig
from trainers.command import results
from trainers.command.results import Results
from trainers.data.augmentation import Augmentation
from trainers.data.dataset import Dataset
from trainers.models.bias import AttentionBias
from trainers.models.model import Model
from trainers.optimization import recipe
from trainers.optimization.optimizer import Optimizer
from trainers.strict import StrictModel, kind_of
from trainers.tasks.classification.loss import Loss
from trainers.tasks.classification.mixing import Mixing
from trainers.tasks.detection import view
from trainers.tasks.detection.view import View
from trainers.tasks.segmentation import heads
from trainers.tasks.segmentation.heads import Head
from trainers.tasks.task import Task

BASES = {
    Task: kinds.TASKS,
    Dataset: get_args(kinds.DatasetConfig),
    Augmentation: get_args(kinds.AugmentationConfig),
    Model: get_args(kinds.ModelConfig),
    AttentionBias: get_args(kinds.AttentionBiasConfig),
    Optimizer: get_args(kinds.OptimizerConfig),
    Analysis: kinds.ANALYSES,
    Mixing: get_args(kinds.MixingConfig),
    Loss: get_args(kinds.LossConfig),
    Head: get_args(heads.HeadConfig),
    Results: get_args(results.ResultsConfig),
    View: get_args(view.ViewConfig),
    recipe._WarmupSchedule: get_args(recipe.ScheduleConfig),
    SearchAlgorithm: get_args(search_kinds.AlgorithmConfig),
    EarlyStopping: get_args(search_kinds.EarlyStoppingConfig),
}
# Sums that are closed: all their members are in one file, and whoever uses one knows them all.
CLOSED = {
    *(get_args(get_args(Distribution)[0])),
    *get_args(TargetConfig),
    *get_args(recipe.EmaConfig),
    Looks,
}
KINDS: set[type[StrictModel]] = {kind for members in BASES.values() for kind in members}
PACKAGES = (Path("trainers"), Path("orchestrator"), Path("api"))


def between(kind: type, base: type) -> set[type]:
    """The kind and its ancestors below the base: `AnyGaussian` stands for several kinds."""
    return {each for each in kind.__mro__ if issubclass(each, base) and each is not base}


NAMES = {
    each.__name__: each.__module__
    for base, members in BASES.items()
    for kind in members
    for each in between(kind, base)
}
"""Of a kind, or of several -> where it is at home."""
WORDS = {kind_of(kind) for kind in KINDS}


def asked_after(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each kind that code asks after."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, asked]):
                yield from ((node.lineno, name) for name in _names(asked))
            case ast.MatchClass(cls=asked):
                yield from ((node.lineno, name) for name in _names(asked))
            case ast.Compare(left=ast.Call(func=ast.Name(id="type")), comparators=[asked]):
                yield from ((node.lineno, name) for name in _names(asked))
            case ast.Compare(left=ast.Attribute(attr="kind"), comparators=compared):
                for constant in (each for one in compared for each in ast.walk(one)):
                    if isinstance(constant, ast.Constant) and constant.value in WORDS:
                        yield node.lineno, f".kind == {constant.value!r}"


def _names(asked: ast.expr) -> set[str]:
    named = {node.id for node in ast.walk(asked) if isinstance(node, ast.Name)}
    through_modules = {node.attr for node in ast.walk(asked) if isinstance(node, ast.Attribute)}
    return (named | through_modules) & NAMES.keys()


def module_of(file: Path) -> str:
    return ".".join(file.with_suffix("").parts)


def test_nobody_asks_which_kind_something_is() -> None:
    found = [
        f"{file}:{line} asks after {name}"
        for package in PACKAGES
        for file in package.rglob("*.py")
        for line, name in asked_after(ast.parse(file.read_text()))
        if NAMES.get(name) != module_of(file)
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "isinstance(x, DigitsConfig)",
        "isinstance(x, SmallVitConfig | TimmConfig)",
        "isinstance(x, (int, gaussian.GaussianBias))",
        "isinstance(x.attention_bias, AnyGaussian)",
        "type(x) is OptunaSearch",
        "x.kind == 'asha'",
        "x.kind in ('sgd', 'lion')",
        "match x:\n    case NoMixing():\n        pass",
    ],
)
def test_it_would_be_seen(code: str) -> None:
    assert list(asked_after(ast.parse(code)))


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.__name__)
def test_every_kind_has_its_base(base: type[StrictModel]) -> None:
    assert BASES[base]
    for kind in BASES[base]:
        assert issubclass(kind, base)
        assert kind_of(kind) in get_args(kind.model_fields["kind"].annotation)


def test_every_choice_by_kind_is_among_them() -> None:
    """A union that somebody adds to a config belongs into the list above."""
    seen: set[type] = set()

    def walk(model: type[StrictModel]) -> None:
        for field in model.model_fields.values():
            for inner in _models_in(field.annotation):
                if inner not in seen:
                    seen.add(inner)
                    walk(inner)

    walk(ExperimentSpec)
    assert {model for model in seen if "kind" in model.model_fields} - KINDS == CLOSED


def _models_in(annotation: object) -> Iterator[type[StrictModel]]:
    if isinstance(annotation, type) and issubclass(annotation, StrictModel):
        yield annotation
    for part in get_args(annotation):
        if part is not NoneType:
            yield from _models_in(part)
