"""Optimizers of the user's own, and whether they fit."""

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from trainers.errors import OwnCodeError
from trainers.optimization.optimizer import Optimizer
from trainers.optimization.parameter_groups import ParameterGroup
from trainers.own_code.generators import generators_apart
from trainers.own_code.loading import bound, called, kind_of_object

if TYPE_CHECKING:
    from trainers.own_code.python_object import PythonObject

_OWNED = {"lr": "set `lr`", "weight_decay": "set `weight_decay`", "params": "the model has its parameters"}
"""Argument -> what decides it instead."""


def own_optimizer(
    named: "PythonObject", groups: list[ParameterGroup], *, lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """The optimizer of these parameters.

    Raises:
        OwnCodeError: it can't be made, or is none of torch's.
    """
    for name, why in _OWNED.items():
        if name in named.arguments:
            raise OwnCodeError(f"`{name}` is not set among the arguments of {named.target}: {why}")
    making = bound(named, wanted="an optimizer", given={"lr": lr, "weight_decay": weight_decay})
    # JSON has no tuples, and `betas` is one.
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in making.keywords.items()}
    own: list[dict[str, Any]] = [dict(group) for group in groups]
    with generators_apart():
        optimizer = called(making.func, f"{named.target} can't be built", own, **tuples)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise OwnCodeError(
            f"{named.target} gives {kind_of_object(optimizer)}; an optimizer is a torch.optim.Optimizer, whose state "
            "can be saved and whose learning rate can be set"
        )
    return optimizer


def try_optimizer(config: Optimizer, target: str) -> None:
    """Take steps on a matrix and a vector, and go on from a saved state.

    Args:
        config: of an optimizer of the user's own.
        target: how messages call it.

    Raises:
        OwnCodeError: it can't.
    """
    matrix, vector = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4))
    optimizer = _made(config, matrix, vector)
    if {id(each) for group in optimizer.param_groups for each in group["params"]} != {id(matrix), id(vector)}:
        raise OwnCodeError(f"{target} does not keep the parameters that it is given in its `param_groups`")
    _step(optimizer, target, matrix, vector)
    if bool((matrix == 1).all()) or bool((vector == 1).all()):
        raise OwnCodeError(f"a step of {target} moves no parameter, whose gradient is 0.1 everywhere")
    twins = [nn.Parameter(each.detach().clone()) for each in (matrix, vector)]
    again = _made(config, *twins)
    called(again.load_state_dict, f"{target} can't go on from its own state", copy.deepcopy(optimizer.state_dict()))
    _step(optimizer, target, matrix, vector)
    _step(again, target, *twins)
    if not (torch.equal(matrix, twins[0]) and torch.equal(vector, twins[1])):
        raise OwnCodeError(
            f"{target} goes on from its saved state with another step than without an interruption: what a step "
            "depends on must be in `state` or `param_groups`, and drawn from no generator of its own"
        )


def _made(config: Optimizer, matrix: nn.Parameter, vector: nn.Parameter) -> torch.optim.Optimizer:
    return config.build(
        [
            ParameterGroup(name="decay", params=[matrix], weight_decay=config.weight_decay, lr_multiplier=1.0),
            ParameterGroup(name="no_decay", params=[vector], weight_decay=0.0, lr_multiplier=1.0),
        ]
    )


def _step(optimizer: torch.optim.Optimizer, target: str, *parameters: nn.Parameter) -> None:
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 0.1)
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(0)
        called(optimizer.step, f"{target} can't take a step")
