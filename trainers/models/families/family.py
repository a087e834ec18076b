"""What a family of models says about itself: where a bias goes in, and which parameters embed position."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import torch
from torch import nn

from trainers.errors import ConfigError
from trainers.models.attached_bias import AttachedBias
from trainers.models.families.patches import patch_grid
from trainers.models.grid import TokenGrid

Swaps = Mapping[type[nn.Module], type[nn.Module]]
"""timm's class -> our subclass of it that adds the child `gaussian`."""

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class AttachmentSite:
    """A module of a model that makes or takes an attention bias; `name` is its path in the model."""

    name: str
    module: nn.Module
    grid: TokenGrid
    num_heads: int
    with_gaussian: type[nn.Module]
    """Subclass of the module's class that adds the Gaussian."""

    @property
    def device(self) -> torch.device:
        """Where the module is."""
        return next(self.module.parameters()).device

    def attach(self, bias: AttachedBias) -> None:
        """Give the module its bias, in place."""
        self.module.add_module("gaussian", bias.train(self.module.training))
        self.module.__class__ = self.with_gaussian


@dataclass(frozen=True)
class PositionParameters:
    """Names of the parameters of a model that embed position, in the order of its layers."""

    all: tuple[str, ...] = ()
    """Tables, absolute embeddings, and every layer of an MLP over distances."""
    outputs: tuple[str, ...] = ()
    """Those that make the embedding nothing when they are zero: of an MLP, its last layer."""

    def __add__(self, other: "PositionParameters") -> "PositionParameters":
        return PositionParameters(self.all + other.all, self.outputs + other.outputs)


@dataclass(frozen=True)
class Family:
    """Models of timm that share their code; one file of this folder makes one."""

    title: str
    """What an error message calls it."""
    timm_files: tuple[str, ...]
    """Files of `timm.models` whose models are, with few exceptions, of this family."""
    find_sites: Callable[[nn.Module], list[AttachmentSite]]
    """All modules below (or at) a module that should get a Gaussian, in layer order; empty for other families."""
    find_position: Callable[[nn.Module], PositionParameters]
    """The learned position embedding below (or at) a module; empty for other families."""
    windowed: bool = False
    """Whether attention stays inside windows, so that the image's size does not bound the number of its tokens."""


def make_site(name: str, module: nn.Module, grid: TokenGrid, num_heads: int, swaps: Swaps) -> AttachmentSite:
    """The site of a module whose class is a key of `swaps`.

    Raises:
        ConfigError: it is of another class, or has its Gaussian already.
    """
    return AttachmentSite(name, module, grid, num_heads, _with_gaussian(name, module, swaps))


def _with_gaussian(name: str, module: nn.Module, swaps: Swaps) -> type[nn.Module]:
    if type(module) in swaps.values():
        raise ConfigError(f"{name} already has an attention bias")
    if type(module) not in swaps:
        raise unknown_layer(name, module, *swaps)
    return swaps[type(module)]


class _Vit(Protocol):
    blocks: Iterable[nn.Module]
    num_prefix_tokens: int


class _Attention(Protocol):
    num_heads: int


def sites_of_blocks(
    root: nn.Module, vit_class: type[nn.Module], blocks: tuple[type[nn.Module], ...], swaps: Swaps
) -> list[AttachmentSite]:
    """The attention of every block of every ViT below (or at) a module, where it attends over the whole image.

    Args:
        root: any module.
        vit_class: class of timm's whose modules have `blocks`, each with an `attn`.
        blocks: classes of blocks that are known to pass on what their attention is given.
        swaps: for their attention.

    Raises:
        ConfigError: a block or its attention is of another class, or the grid of tokens is not fixed.
    """
    sites = []
    for name, module in modules_of(root, vit_class):
        vit = cast("_Vit", module)
        grid = patch_grid(module, vit.num_prefix_tokens)
        for i, block in enumerate(vit.blocks):
            path = path_of(name, f"blocks.{i}")
            if not isinstance(block, blocks):
                raise unknown_layer(path, block, *blocks)
            path, attention = f"{path}.attn", block.get_submodule("attn")
            with_gaussian = _with_gaussian(path, attention, swaps)
            num_heads = cast("_Attention", attention).num_heads
            sites.append(AttachmentSite(path, attention, grid, num_heads, with_gaussian))
    return sites


def modules_of(root: nn.Module, kind: type[Module]) -> Iterator[tuple[str, Module]]:
    """Path and module of every module of a class below (or at) a module."""
    for name, module in root.named_modules():
        if isinstance(module, kind):
            yield name, module


def unknown_layer(name: str, module: nn.Module, *known: type[nn.Module]) -> ConfigError:
    """The error for a layer that can't take a bias."""
    return ConfigError(
        f"{name} is a {type(module).__name__}, and no attention bias can be added to that; "
        f"known here are {', '.join(each.__name__ for each in known)}"
    )


def path_of(parent: str, child: str) -> str:
    """`child` below `parent`, which is empty for the model itself."""
    return f"{parent}.{child}" if parent else child
