"""Masks that torchvision's transforms move together with their image, by nearest neighbour."""

from typing import TypeVar

from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2


class NearestMask(tv_tensors.Mask):  # type: ignore[misc]  # torchvision has no types
    """[..., H, W]: something that is said of every pixel.

    torchvision's own masks are resized by what it calls nearest, which takes the upper left one of the pixels that fall
    together: at a quarter of the size, a mask lies 1.5 pixels beside its image.
    """


MaskT = TypeVar("MaskT", bound=NearestMask)


@v2.functional.register_kernel(v2.functional.resize, NearestMask)  # type: ignore[untyped-decorator]
def _resize(mask: MaskT, size: list[int], *, max_size: int | None = None, **_: object) -> MaskT:
    plain = mask.as_subclass(Tensor).unsqueeze(0)
    nearest = v2.InterpolationMode.NEAREST_EXACT
    resized = v2.functional.resize_image(plain, size=size, interpolation=nearest, max_size=max_size)
    return type(mask)(resized.squeeze(0))


@v2.functional.register_kernel(v2.functional.resized_crop, NearestMask)  # type: ignore[untyped-decorator]
def _resized_crop(mask: MaskT, top: int, left: int, height: int, width: int, size: list[int], **_: object) -> MaskT:
    resized: MaskT = _resize(v2.functional.crop(mask, top, left, height, width), size)
    return resized
