"""The learned position embedding of a model: kept, drawn anew, or set to zero."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from trainers.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from trainers.models.families import PositionParameters

PositionEmbedding: TypeAlias = Literal["keep", "reinitialise", "zero"]
"""`reinitialise`: as in a fresh model, all other weights stay (the paper's control); `zero`: it says nothing."""


def find_position(model: "nn.Module") -> "PositionParameters":
    """The parameters of `model` that embed position: relative tables and MLPs, absolute embeddings.

    Rotary position has parameters only where its frequencies are learned.

    Raises:
        ConfigError: there are none.
    """
    from trainers.models.families import FAMILIES, PositionParameters

    found = sum((family.find_position(model) for family in FAMILIES), start=PositionParameters())
    if not found.all:
        raise ConfigError(
            f"{type(model).__name__} has no learned position embedding (fixed rotary angles have no parameters): "
            'there is nothing to re-initialise or zero, position_embedding can only be "keep"'
        )
    return found


def set_position_embedding(
    model: "nn.Module",
    choice: PositionEmbedding,
    *,
    build_fresh: "Callable[[], nn.Module]",
    seed: int,
    concerns: Callable[[str], bool] = lambda name: True,
) -> None:
    """Re-initialise or zero the position embedding, in place; torch's global random numbers stay where they were.

    A zeroed embedding stays a trained parameter: zero is where training starts, and what an analysis that trains
    nothing sees. Of an MLP over distances only the last layer is zeroed, because with all of them at zero no
    gradient would ever reach it.

    Args:
        model: with the weights that should otherwise stay, on the CPU.
        choice: what to do.
        build_fresh: builds the same model with fresh weights; what timm draws for the embedding there is what
            "re-initialised" means (for a BEiT that is zero).
        seed: of the fresh model's random numbers.
        concerns: which of the embedding's parameters are changed, by name (all, unless told otherwise).

    Raises:
        ConfigError: the model has no learned position embedding.
    """
    if choice == "keep":
        return
    import torch

    position = find_position(model)
    if choice == "zero":
        with torch.no_grad():
            for name in filter(concerns, position.outputs):
                model.get_parameter(name).zero_()
        return
    # The whole model is drawn for the sake of one part of it: that way no recipe of timm's is repeated here.
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        # Not `torch.manual_seed`, which would seed the GPUs as well.
        torch.default_generator.manual_seed(seed)
        fresh = build_fresh()
    with torch.no_grad():
        for name in filter(concerns, position.all):
            model.get_parameter(name).copy_(fresh.get_parameter(name))
