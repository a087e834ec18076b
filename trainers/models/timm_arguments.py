"""Arguments of timm's `create_model` that a config passes on: which are known, and which have a field of their own."""

import difflib
import inspect
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue

from trainers.models.timm_facts import built_on_meta

_OWNED = {
    "num_classes": "the data set has its classes",
    "in_chans": "images have three channels",
    "img_size": "set `image_size_px`",
    "input_size": "set `image_size_px`",
    "drop_path_rate": "set `drop_path`",
    "pretrained": "set `pretrained`",
    "pretrained_cfg": "set `pretrained` or `weights`",
    "pretrained_cfg_overlay": "set `pretrained` or `weights`",
    "pretrained_strict": "weights fit as a whole or not at all",
    "checkpoint_path": "set `weights`",
    "cache_dir": "HF_HOME tells where timm's weights lie",
    "model_name": "set `name`",
    "device": "the runtime decides it",
    "dtype": "set `optimization.precision`",
    "scriptable": "set `optimization.compile`",
    "exportable": "set `optimization.compile`",
    "no_jit": "set `optimization.compile`",
    "features_only": "a trial needs the head",
    "out_indices": "a trial needs the head",
    "dynamic_img_size": "a trial has images of one size, `image_size_px`",
    "dynamic_img_pad": "a trial has images of one size, `image_size_px`",
    "strict_img_size": "a trial has images of one size, `image_size_px`",
}
"""Argument -> what sets it instead."""

# All that timm's constructors were seen to raise for values that they don't take.
_REFUSALS = (TypeError, ValueError, AssertionError, RuntimeError, AttributeError, KeyError, IndexError)


def _pass_on(arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name, value in arguments.items():
        if name in _OWNED:
            raise ValueError(f"`{name}` is not set here: {_OWNED[name]}")
        if value is None:
            raise ValueError(f"`{name}` is null, which timm takes for its default: leave it out")
    return arguments


TimmArguments = Annotated[dict[str, JsonValue], Field(max_length=64), AfterValidator(_pass_on)]
"""Name -> JSON value; a list becomes a tuple."""


def as_timm_takes_it(arguments: Mapping[str, JsonValue]) -> dict[str, Any]:
    """The arguments with tuples for lists."""
    return {name: _tupled(value) for name, value in arguments.items()}


def _tupled(value: JsonValue) -> Any:  # noqa: ANN401 (timm's arguments)
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def check_it_builds(
    name: str, arguments: Mapping[str, Any], *, own: Mapping[str, JsonValue], image_size_px: int
) -> None:
    """Build a model without memory, and send an image through.

    Args:
        name: timm's.
        arguments: everything that `create_model` is given.
        own: of these, what the user wrote under `arguments`.
        image_size_px: side of the image.

    Raises:
        ValueError: an argument is unknown (the message names the nearest ones) or has a value that timm refuses; or
            the model can't see images of this size, or gives something else than one logit per class.
    """
    import torch

    try:
        model = built_on_meta(name, num_classes=10, **arguments)
    except _REFUSALS as error:
        raise ValueError(_why_refused(name, own, error)) from error
    image = torch.empty(1, 3, image_size_px, image_size_px, device="meta")
    try:
        with torch.no_grad():
            logits = model.eval()(image)
    except _REFUSALS as error:
        raise ValueError(f"{name} can't see images of {image_size_px} px{_with(own)}: {_words(error)}") from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (1, 10):
        shape = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"{name}{_with(own)} gives {shape} for one image and 10 classes, where [1, 10] is needed")


def _why_refused(name: str, own: Mapping[str, JsonValue], error: Exception) -> str:
    unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if unknown is None or unknown[1] not in own:
        return f"timm can't build {name}{_with(own)}: {_words(error)}"
    known = sorted(
        set(inspect.signature(type(built_on_meta(name)).__init__).parameters) - {"self", "cfg", "kwargs", *_OWNED}
    )
    nearest = difflib.get_close_matches(unknown[1], known, n=3, cutoff=0.4) or known
    title = "the nearest are" if len(nearest) < len(known) else "it has"
    return f"{name} has no argument `{unknown[1]}`; {title} {', '.join(nearest)}"


def _with(own: Mapping[str, JsonValue]) -> str:
    return f" with {', '.join(f'{name} = {value}' for name, value in own.items())}" if own else ""


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0] or 'no reason given'}"
