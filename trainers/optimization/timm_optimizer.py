"""Optimizers of timm by name: which there are, what they take, and which of them a trial can't use."""

import difflib
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from pydantic import Field, JsonValue, model_validator

from trainers.optimization.optimizer import Optimizer
from trainers.remembered import remembered

if TYPE_CHECKING:
    import torch

    from trainers.optimization.parameter_groups import ParameterGroup

_WRAPPER = "lookahead_"
_OWNED = {
    "params": "the model has its parameters",
    "lr": "set `lr`",
    "weight_decay": "set `weight_decay`",
    "maximize": "a loss is made small",
    "differentiable": "no gradient is taken of a step",
}
"""Argument -> what decides it instead."""
_RANDOM = ("kron", "kronw", "kronc")
"""Optimizers that draw random numbers of their own, of which no checkpoint knows."""
_NO_MATRICES = ("no_decay", "attention_bias")
"""How groups of vectors, position tables, sigma and A are called, with a layer before it or not."""
_REFUSALS = (TypeError, ValueError, AssertionError, RuntimeError, AttributeError, KeyError, IndexError)


class TimmOptimizerConfig(Optimizer):
    """An optimizer of timm by its name: lion, lamb, muon, adafactor, nadamw, adan, ...

    `lookahead_` before a name wraps it. Muon orthogonalises matrices; vectors, position tables, sigma and A go to the
    AdamW that it has inside.
    """

    kind: Literal["timm"] = "timm"
    name: str = Field(min_length=1, max_length=64)
    """timm's name; a wrong one is answered with the nearest."""
    lr: float = Field(default=1e-3, gt=0, le=100)
    """Peak learning rate."""
    weight_decay: float = Field(default=0.05, ge=0, le=10)
    """Weight decay of matrices (never of vectors, position tables, sigma or A)."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict, max_length=32)
    """Further arguments of this optimizer, such as `{"betas": [0.9, 0.99]}`."""

    @model_validator(mode="after")
    def _timm_takes_it(self) -> Self:
        def check() -> bool:
            check_optimizer(self.name, self.arguments)
            return True

        # Not of lr and weight decay: a search draws thousands of them.
        remembered("optimizer", json.dumps([self.name, self.arguments], sort_keys=True), bool, check)
        return self

    def __hash__(self) -> int:
        """Of the whole config: its arguments are a dict, which has no hash."""
        return hash(self.model_dump_json())

    def build(self, groups: "list[ParameterGroup]") -> "torch.optim.Optimizer":
        """The optimizer of these parameters."""
        return timm_optimizer(groups, self.name, as_tuples(self.arguments), lr=self.lr, weight_decay=self.weight_decay)


def check_optimizer(name: str, arguments: Mapping[str, JsonValue]) -> None:
    """Take a step with the optimizer on a matrix and a vector; any learning rate and weight decay do.

    Args:
        name: timm's, with `lookahead_` before it or not.
        arguments: further arguments.

    Raises:
        ValueError: there is no such optimizer, a trial can't use it, or it does not take the arguments.
    """
    import torch
    from torch import nn

    _check_name(name)
    _check_arguments(name, arguments)
    matrix, vector = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4))
    groups: list[ParameterGroup] = [
        {"name": "decay", "params": [matrix], "weight_decay": 0.05, "lr_multiplier": 1.0},
        {"name": "no_decay", "params": [vector], "weight_decay": 0.0, "lr_multiplier": 1.0},
    ]
    try:
        optimizer = timm_optimizer(groups, name, as_tuples(arguments), lr=1e-3, weight_decay=0.05)
        for parameter in (matrix, vector):
            parameter.grad = torch.full_like(parameter, 0.1)
        optimizer.step()
    except _REFUSALS as error:
        written = ", ".join(f"{key} = {value}" for key, value in arguments.items())
        raise ValueError(f"timm's {name} can't be used with {written or 'its defaults'}: {error}") from error


def timm_optimizer(
    groups: "Sequence[ParameterGroup]", name: str, arguments: Mapping[str, Any], *, lr: float, weight_decay: float
) -> "torch.optim.Optimizer":
    """The optimizer of these parameters, in our groups.

    Muon orthogonalises matrices only: what never decays (vectors, position tables, sigma and A) goes to the AdamW
    that it has inside.

    Args:
        groups: parameters with their decay.
        name: timm's.
        arguments: further arguments, as timm takes them.
        lr: learning rate.
        weight_decay: of groups that name none.
    """
    from timm.optim._optim_factory import create_optimizer_v2
    from timm.optim.muon import Muon

    own: list[dict[str, Any]] = [dict(group) for group in groups]
    if issubclass(_class_of(name), Muon):
        own = [{**group, "use_fallback": group["name"].endswith(_NO_MATRICES)} for group in own]
    return create_optimizer_v2(own, opt=name, lr=lr, weight_decay=weight_decay, **arguments)


def as_tuples(arguments: Mapping[str, JsonValue]) -> dict[str, Any]:
    """Lists, such as `betas`, as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}


def _check_name(name: str) -> None:
    from timm.optim._optim_factory import get_optimizer_info, list_optimizers

    bare = name.removeprefix(_WRAPPER)
    known = [each for each in list_optimizers() if isinstance(each, str)]
    if bare not in known:
        nearest = ", ".join(difflib.get_close_matches(bare, known, n=3, cutoff=0.3)) or ", ".join(known)
        raise ValueError(f"timm has no optimizer named {bare!r}; the nearest names are {nearest}")
    if get_optimizer_info(bare).second_order:
        raise ValueError(f"{bare} needs second derivatives, which a trial does not compute")
    if bare in _RANDOM:
        raise ValueError(f"{bare} draws random numbers that no checkpoint keeps: a resumed trial would be another one")
    try:
        _class_of(name)
    except (ImportError, AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(f"{bare} needs a package or a device that is not here: {error}") from error


def _class_of(name: str) -> type:
    from timm.optim._optim_factory import get_optimizer_class

    return cast("type", get_optimizer_class(name.removeprefix(_WRAPPER), bind_defaults=False))


def _check_arguments(name: str, arguments: Mapping[str, JsonValue]) -> None:
    known = sorted(set(inspect.signature(_class_of(name)).parameters) - set(_OWNED))
    for each in arguments:
        if each in _OWNED:
            raise ValueError(f"`{each}` is not set here: {_OWNED[each]}")
        # timm leaves some of those that an optimizer has not out without a word.
        if each not in known:
            nearest = difflib.get_close_matches(each, known, n=3, cutoff=0.4) or known
            raise ValueError(f"{name} has no argument `{each}`; it has {', '.join(nearest)}")
