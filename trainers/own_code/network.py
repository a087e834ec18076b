"""Networks of the user's own, and whether they fit."""

import copy
import pickle
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainers.errors import OwnCodeError
from trainers.own_code.generators import generators_for_building
from trainers.own_code.loading import built, called, told

if TYPE_CHECKING:
    from trainers.own_code.python_object import PythonObject

_NUM_IMAGES = 2


def own_network(named: "PythonObject", num_classes: int, image_size_px: int) -> nn.Module:
    """Build a network and see that it gives one logit for each class; looking moves no random number.

    Args:
        named: target and arguments.
        num_classes: of the head.
        image_size_px: side of the images.

    Raises:
        OwnCodeError: it can't be built, is no module, or does not fit.
    """
    with generators_for_building():
        network = built(named, wanted="a model", given={"num_classes": num_classes})
    if not isinstance(network, nn.Module):
        raise OwnCodeError(
            f"{named.target} gives an object of the type {type(network).__name__}; a model is an nn.Module, or a "
            "function that returns one"
        )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise OwnCodeError(f"{named.target} has no parameter to train")
    _require_logits(named.target, network, num_classes, image_size_px)
    return network


def require_copies(target: str, network: nn.Module) -> None:
    """See that a network can be copied and sent: averages of weights and further processes need that.

    Raises:
        OwnCodeError: it can't.
    """
    try:
        copy.deepcopy(network)
        pickle.dumps(network)
    except Exception as error:
        raise OwnCodeError(
            f"{target} can't be pickled: {told(error)}; averages of weights and further processes need copies of it: "
            "define functions and classes at the top of a module, and keep open files and lambdas out of its attributes"
        ) from error


def _require_logits(target: str, network: nn.Module, num_classes: int, image_size_px: int) -> None:
    was_training = network.training
    images = torch.zeros(_NUM_IMAGES, 3, image_size_px, image_size_px)
    with torch.random.fork_rng(devices=()), torch.no_grad():
        logits = called(
            network.eval(), f"{target} can't see images [{_NUM_IMAGES}, 3, {image_size_px}, {image_size_px}]", images
        )
    network.train(was_training)
    expected = (_NUM_IMAGES, num_classes)
    if not isinstance(logits, Tensor):
        raise OwnCodeError(
            f"{target} gives an object of the type {type(logits).__name__} for a batch; a classifier gives logits, a "
            f"tensor [B, {num_classes}]"
        )
    if tuple(logits.shape) != expected:
        raise OwnCodeError(
            f"{target} gives {list(logits.shape)} for {_NUM_IMAGES} images and {num_classes} classes, where "
            f"{list(expected)} is needed; it is told the number of classes if it takes an argument `num_classes`"
        )
