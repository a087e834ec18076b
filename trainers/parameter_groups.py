"""Which parameters decay, and which follow their own learning rate."""

from collections.abc import Sequence
from typing import TypedDict

from torch import nn

# Decaying the control's table but never sigma and A would handicap the control.
POSITION_TABLES = ("relative_position_bias_table", "pos_embed")


class ParameterGroup(TypedDict):
    """A torch optimizer's parameter group, with what our schedule needs."""

    name: str
    params: list[nn.Parameter]
    weight_decay: float
    lr_multiplier: float


def parameter_groups(
    model: nn.Module, *, bias: Sequence[nn.Parameter], weight_decay: float, bias_lr_multiplier: float
) -> list[ParameterGroup]:
    """Split a model's trained parameters: `decay`, `no_decay` and `attention_bias` (only those that aren't empty).

    As in timm, vectors, `.bias` and what the model names in `no_weight_decay()` don't decay; unlike timm's
    `vit_relpos_*`, which decay it, neither does the relative position table.

    Args:
        model: the whole model.
        bias: parameters of the attention bias (sigma, A).
        weight_decay: of the matrices.
        bias_lr_multiplier: learning rate of the attention bias, as a multiple of the model's.
    """
    bias_ids = {id(parameter) for parameter in bias}
    named_by_model: set[str] = model.no_weight_decay()  # type: ignore[operator]  # every timm ViT has it
    decay: list[nn.Parameter] = []
    no_decay: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or id(parameter) in bias_ids:
            continue
        exempt = parameter.ndim <= 1 or name in named_by_model or name.endswith((".bias", *POSITION_TABLES))
        (no_decay if exempt else decay).append(parameter)
    learned_bias = [parameter for parameter in bias if parameter.requires_grad]
    groups = (
        ParameterGroup(name="decay", params=decay, weight_decay=weight_decay, lr_multiplier=1.0),
        ParameterGroup(name="no_decay", params=no_decay, weight_decay=0.0, lr_multiplier=1.0),
        ParameterGroup(name="attention_bias", params=learned_bias, weight_decay=0.0, lr_multiplier=bias_lr_multiplier),
    )
    return [group for group in groups if group["params"]]
