"""Which parameters decay, and which follow their own learning rate."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from timm.models._manipulate import group_with_matcher
from torch import nn

from trainers.errors import ConfigError

# Decaying the control's table but never sigma and A would handicap the control.
POSITION_TABLES = ("relative_position_bias_table", "pos_embed")


class ParameterGroup(TypedDict):
    """A torch optimizer's parameter group, with what our schedule needs."""

    name: str
    params: list[nn.Parameter]
    weight_decay: float
    lr_multiplier: float


def parameter_groups(
    network: nn.Module,
    backbone: nn.Module,
    *,
    bias: Sequence[nn.Parameter],
    weight_decay: float,
    bias_lr_multiplier: float,
    layer_decay: float = 1.0,
) -> list[ParameterGroup]:
    """Split a network's trained parameters into groups, none of them empty.

    `decay`, `no_decay` and `attention_bias`; with layer decay one pair for each layer (`layer_03_decay`,
    `layer_03_no_decay`) and `attention_bias`.

    As in timm, vectors, `.bias` and what the backbone names in `no_weight_decay()` don't decay; unlike timm's
    `vit_relpos_*`, which decay it, neither does the relative position table.

    Args:
        network: backbone and head.
        backbone: the network itself, or a module of it; it knows its layers, and all that lies outside is the head's.
        bias: parameters of the attention bias (sigma, A); no layer decay touches them.
        weight_decay: of the matrices.
        bias_lr_multiplier: learning rate of the attention bias, as a multiple of the model's.
        layer_decay: factor of the learning rate from one layer to the layer below it, as in timm (and BEiT); 1 for
            the head.

    Raises:
        ConfigError: layer decay is asked for, and the backbone does not number its layers.
    """
    bias_ids = {id(parameter) for parameter in bias}
    own = {name: parameter for name, parameter in network.named_parameters() if id(parameter) not in bias_ids}
    in_backbone = {id(parameter): name for name, parameter in backbone.named_parameters()}
    # timm's ViTs have it, most of its CNNs have not.
    exempted: set[str] = backbone.no_weight_decay() if hasattr(backbone, "no_weight_decay") else set()  # type: ignore[operator]
    multipliers = _layer_multipliers(
        backbone, {name: in_backbone.get(id(parameter)) for name, parameter in own.items()}, layer_decay
    )
    groups: dict[str, ParameterGroup] = {}
    if layer_decay == 1:
        # In a fixed order, whichever parameter comes first.
        for name, decay in (("decay", weight_decay), ("no_decay", 0.0)):
            groups[name] = ParameterGroup(name=name, params=[], weight_decay=decay, lr_multiplier=1.0)
    for name, parameter in own.items():
        if not parameter.requires_grad:
            continue
        is_named = in_backbone.get(id(parameter)) in exempted
        exempt = parameter.ndim <= 1 or is_named or name.endswith((".bias", *POSITION_TABLES))
        layer, multiplier = multipliers[name]
        group_name = f"{layer}{'no_decay' if exempt else 'decay'}"
        group = ParameterGroup(
            name=group_name, params=[], weight_decay=0.0 if exempt else weight_decay, lr_multiplier=multiplier
        )
        groups.setdefault(group_name, group)["params"].append(parameter)
    learned_bias = [parameter for parameter in bias if parameter.requires_grad]
    groups["attention_bias"] = ParameterGroup(
        name="attention_bias", params=learned_bias, weight_decay=0.0, lr_multiplier=bias_lr_multiplier
    )
    return [group for group in groups.values() if group["params"]]


def _layer_multipliers(
    backbone: nn.Module, names: Mapping[str, str | None], layer_decay: float
) -> dict[str, tuple[str, float]]:
    """For each parameter the prefix of its group's name, and its learning rate as a multiple of the head's.

    Layers are timm's: the stem, every block, the head with all that the backbone's `group_matcher` does not name. The
    attention bias is not asked about, so that no arm has another number of layers than its control.

    Args:
        backbone: numbers its layers.
        names: of each parameter in the network, and in the backbone (`None`: it lies outside).
        layer_decay: factor from one layer to the layer below it.
    """
    if layer_decay == 1:
        return dict.fromkeys(names, ("", 1.0))
    if not hasattr(backbone, "group_matcher"):
        raise ConfigError(f"timm's {type(backbone).__name__} does not number its layers: layer_decay can only be 1")
    matcher = backbone.group_matcher(coarse=False)  # type: ignore[operator]
    inside = [own for own in names.values() if own is not None]
    layers: dict[str, int] = group_with_matcher(((own, own) for own in inside), matcher, reverse=True)
    last = max(layers.values())
    layer_of = {name: last if own is None else layers[own] for name, own in names.items()}
    return {name: (f"layer_{layer:02d}_", layer_decay ** (last - layer)) for name, layer in layer_of.items()}
