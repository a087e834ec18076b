"""Where a model takes an attention bias, and the class swap that gives it one.

A module that makes (or can take) a bias gets the Gaussian as its child `gaussian`, and its `__class__` becomes a
subclass that adds it (see `trainers.models.families`). So the state dict gains the Gaussian's keys and loses none,
and `deepcopy`, pickle, `torch.save` and `torch.compile` see ordinary modules.
"""

from torch import nn

from trainers.errors import ConfigError
from trainers.models.families import FAMILIES, AttachmentSite


def find_sites(model: nn.Module) -> list[AttachmentSite]:
    """All modules of `model` that should get a Gaussian, in layer order.

    Raises:
        ConfigError: there is none, or a layer is of a kind that can't take a bias.
    """
    sites = [site for family in FAMILIES for site in family.find_sites(model)]
    if not sites:
        raise ConfigError(
            f"{type(model).__name__} has no layer that can take an attention bias; these families of timm have: "
            f"{'; '.join(family.title for family in FAMILIES)}"
        )
    return sites
