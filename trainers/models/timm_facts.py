"""What timm says about a model by its name: nothing is downloaded, no memory taken, no random number drawn."""

import difflib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from trainers.errors import ConfigError
from trainers.models.position import find_position
from trainers.remembered import remembered

if TYPE_CHECKING:
    from torch import nn

_MAX_NAMED = 12


@dataclass(frozen=True)
class TimmFacts:
    """One model of timm."""

    image_size_px: int
    """Side of the square image that it is published with."""
    patch_size_px: int | None
    """Side of a patch, where it cuts the image into plain ones (`None`: it does not)."""
    is_windowed: bool
    """Whether attention stays inside windows."""
    fixed: tuple[tuple[str, Any], ...]
    """Arguments that tie the model to one grid of tokens."""
    takes_image_size: bool
    """Whether it is built for one size (a CNN takes any)."""
    takes_drop_path: bool
    """Whether it has stochastic depth."""
    mean: tuple[float, float, float]
    """Of each channel, for its weights."""
    std: tuple[float, float, float]
    """Of each channel, for its weights."""
    crop_fraction: float
    """Share of the shorter side of an image that is seen when its weights are scored."""
    interpolation: str
    """How images are resized for that."""
    has_weights: bool
    """Whether weights are published."""
    heads: tuple[str, ...]
    """Modules that give the logits."""
    no_position: str | None
    """Why the position embedding can't be changed, if it can't."""
    no_bias: str | None
    """Why no attention bias can be added, if none can."""


def _check_name(name: str) -> None:
    """Refuse what timm does not have.

    Args:
        name: of a model, with or without the tag of its weights.

    Raises:
        ValueError: there is no such model, or it has no such tag; the message says what there is.
    """
    import timm

    base, _, tag = name.partition(".")
    names = timm.list_models()
    if base not in names:
        nearest = ", ".join(difflib.get_close_matches(base, names, n=3, cutoff=0.3)) or "none"
        raise ValueError(f"timm has no model named {base!r}; the nearest names are {nearest}")
    if tag and tag not in (tags := _tags_of(base)):
        raise ValueError(f"timm has no weights {name!r}; the tags of {base} are {_listed(tags) or 'none'}")


def _tags_of(base: str) -> list[str]:
    import timm

    return [name.partition(".")[2] for name in timm.list_models(f"{base}.*", include_tags=True)]


def _listed(names: list[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


@lru_cache(maxsize=1024)
def timm_facts(name: str) -> TimmFacts:
    """What timm says about a model, now or when it was last asked.

    Args:
        name: of a model, with or without the tag of its weights.

    Raises:
        ValueError: timm has no such model, can't build it, or does not say what images it wants.
    """
    return remembered("facts", name, TimmFacts, lambda: _ask_timm(name))


def _ask_timm(name: str) -> TimmFacts:
    _check_name(name)
    import timm
    from timm.layers.patch_embed import PatchEmbed
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    from trainers.models.families import FAMILIES

    published = timm.models.get_pretrained_cfg(name)
    if published is None:
        raise ValueError(f"{name} can't be used: timm publishes neither its input size nor its normalisation")
    model = built_on_meta(name)
    # Some take images of any size; built for one size they compute the same, on a grid that is known.
    fixed: tuple[tuple[str, Any], ...] = ()
    if isinstance(model, VisionTransformer | Eva) and model.dynamic_img_size:
        fixed = (("dynamic_img_size", False),)
        model = built_on_meta(name, **dict(fixed))
    no_bias = why_without_bias(model)
    patches = next((each for each in model.children() if isinstance(each, PatchEmbed)), None)
    image_size_px = int(published.input_size[-1])
    if patches is not None and patches.img_size is not None:
        image_size_px = patches.img_size[0]
    heads: str | tuple[str, ...] | None = published.classifier
    red_mean, green_mean, blue_mean = published.mean
    red_std, green_std, blue_std = published.std
    return TimmFacts(
        image_size_px=image_size_px,
        patch_size_px=None if patches is None else patches.patch_size[0],
        fixed=fixed,
        # All families that take a bias take these.
        takes_image_size=no_bias is None or _takes(name, img_size=image_size_px),
        takes_drop_path=no_bias is None or _takes(name, drop_path_rate=0.0),
        is_windowed=any(family.windowed and family.find_sites(model) for family in FAMILIES),
        mean=(red_mean, green_mean, blue_mean),
        std=(red_std, green_std, blue_std),
        crop_fraction=float(published.crop_pct),
        # What its weights are published with is one of the two.
        interpolation="bicubic" if published.interpolation == "bicubic" else "bilinear",
        has_weights=bool(published.has_weights),
        heads=(heads,) if isinstance(heads, str) else tuple(heads or ()),
        no_position=_why_without_position(model),
        no_bias=no_bias,
    )


def built_on_meta(name: str, **arguments: Any) -> "nn.Module":  # noqa: ANN401 (timm's arguments)
    """A model without memory or random numbers; timm's own errors pass through."""
    import timm
    import torch

    with torch.device("meta"):
        return timm.create_model(name, **arguments)


def why_without_bias(model: "nn.Module") -> str | None:
    """Why no attention bias can be added to a model of timm (`None`: one can)."""
    from trainers.models.attachment import find_sites
    from trainers.models.families.patches import patch_embedding

    try:
        find_sites(model)
        patches = patch_embedding(model)
    except ConfigError as error:
        return str(error)
    return f"{type(model).__name__} has no fixed image size" if patches.img_size is None else None


def _takes(name: str, **arguments: Any) -> bool:  # noqa: ANN401 (timm's arguments)
    """Whether the class or function behind a name knows these arguments."""
    try:
        built_on_meta(name, **arguments)
    except TypeError:
        return False
    return True


def _why_without_position(model: "nn.Module") -> str | None:
    try:
        find_position(model)
    except ConfigError as error:
        return str(error)
    return None
