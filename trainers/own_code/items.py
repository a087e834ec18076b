"""What a data set of the user's own gives for one place: an image and its label, looked at before anybody uses them."""

import hashlib
import os
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainers.data.color import on_white
from trainers.data.split_names import SplitName
from trainers.errors import DataError, OwnCodeError
from trainers.own_code.loading import kind_of_object, told
from trainers.seeding import seeded_libraries

ImageOrTensor = Image.Image | Tensor
_TOLERANCE = 1e-3
"""Resizing overshoots by rounding."""


class Item(NamedTuple):
    """One image with its label."""

    image: ImageOrTensor
    """A PIL image in RGB, or [3, H, W] float32 in [0, 1]."""
    label: int

    def digest(self) -> bytes:
        """SHA-256 of the pixels."""
        image = self.image
        if isinstance(image, Image.Image):
            return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).digest()
        return hashlib.sha256(f"{tuple(image.shape)}".encode() + image.contiguous().numpy().tobytes()).digest()

    @property
    def num_bytes(self) -> int:
        """Of its pixels."""
        if isinstance(self.image, Image.Image):
            return 3 * self.image.width * self.image.height
        return self.image.numel() * self.image.element_size()


class Parts:
    """The user's objects by split, built in this process: in every other that goes on from it they are built anew.

    Loader workers are forks of a process that has read images already. A file that the user's code has opened meanwhile
    (in `__getitem__`, as one is advised to) would have one offset in all of them, and each would read what another one
    has just looked for.
    """

    def __init__(self, make: Callable[[], Mapping[SplitName, Any]]) -> None:
        """Build them.

        Args:
            make: builds the user's objects.

        Raises:
            OwnCodeError: they can't be built.
        """
        self._make = make
        self._made: Mapping[SplitName, Any] = make()
        self._process = os.getpid()

    def here(self) -> Mapping[SplitName, Any]:
        """Those of this process.

        Raises:
            DataError: they can't be built here.
        """
        if self._process != os.getpid():
            # What was inherited goes first: lmdb opens a file once in a process.
            self._made = {}
            try:
                self._made = self._make()
            except OwnCodeError as error:
                raise DataError(str(error)) from error
            self._process = os.getpid()
        return self._made


class OwnItems:
    """A data set of the user's own: anything with a length that gives (image, label) for a number below it."""

    def __init__(self, target: str, name: str, part: SplitName, parts: Parts) -> None:
        """Ask its length.

        Args:
            target: how messages call it.
            name: `train`, `val`, `test`, or empty where it is all of them.
            part: its key among the parts.
            parts: the user's.

        Raises:
            DataError: it has none, or gives nothing.
        """
        self._name = f"{target} ({name})" if name else target
        self._part, self._parts = part, parts
        items = self._items
        if not hasattr(items, "__getitem__") or not hasattr(items, "__len__"):
            raise DataError(
                f"{self._name} is {kind_of_object(items)}; a data set has a length and gives (image, label) for a "
                "number: `__len__` and `__getitem__`, as torch.utils.data.Dataset"
            )
        self.num = self._length()
        if not self.num:
            raise DataError(f"{self._name} is empty")

    @property
    def _items(self) -> Any:  # noqa: ANN401 (theirs)
        try:
            return self._parts.here()[self._part]
        except KeyError as error:
            raise DataError(f"{self._name} has no such part when it is built in another process") from error

    def item(self, place: int, *, seed: int) -> Item:
        """The image and label at a place; what its code draws from torch, numpy and Python follows the seed.

        Raises:
            DataError: it raises, or does not give an image and a label.
        """
        items = self._items
        try:
            with seeded_libraries(seed):
                found = items[place]
        except Exception as error:
            raise DataError(f"{self._name} can't give image {place}: {told(error)}") from error
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise DataError(f"{self._name} gives {_told_of(found)} for image {place}, where (image, label) is needed")
        return Item(image_of(found[0], f"image {place} of {self._name}"), self._label(found[1], place))

    def require_length(self) -> None:
        """See that it is as long as it was.

        Raises:
            DataError: it is not.
        """
        now = self._length()
        if now != self.num:
            raise DataError(
                f"{self._name} has {now} images by now, and had {self.num} when it was built: the length of a data set "
                "must not change"
            )

    def declared_classes(self) -> tuple[str, ...]:
        """What it says of its classes' names (empty: nothing), as torchvision's data sets do."""
        classes = getattr(self._items, "classes", None)
        if isinstance(classes, tuple | list) and classes and all(isinstance(each, str) for each in classes):
            return tuple(classes)
        return ()

    def declared_labels(self) -> np.ndarray[Any, np.dtype[np.int64]] | None:
        """What it says of all labels without an image being read (`None`: nothing), as torchvision's data sets do."""
        for name in ("targets", "labels"):
            labels = np.asarray(getattr(self._items, name, ()))
            if labels.shape == (self.num,) and labels.dtype.kind in "iu":
                return labels.astype(np.int64)
        return None

    def _length(self) -> int:
        items = self._items
        try:
            return len(items)
        except Exception as error:
            raise DataError(f"{self._name} has no length: {told(error)}") from error

    def _label(self, label: object, place: int) -> int:
        if isinstance(label, Tensor) and label.ndim == 0 and not (label.is_floating_point() or label.is_complex()):
            label = int(label)
        # Of numpy, too; Python counts its truth values among them.
        if type(label) is bool or not isinstance(label, Integral):
            raise DataError(
                f"the label of image {place} of {self._name} is {_told_of(label)}; the number of its class is needed, "
                "from 0"
            )
        if int(label) < 0:
            raise DataError(f"the label of image {place} of {self._name} is {int(label)}; classes are numbered from 0")
        return int(label)


def image_of(given: object, where: str) -> ImageOrTensor:
    """What the user's code gives for an image: a PIL image in RGB, or [3, H, W] float32 in [0, 1].

    Args:
        given: theirs.
        where: how messages call it.

    Raises:
        DataError: it is neither a PIL image nor a tensor of pixels.
    """
    if isinstance(given, Image.Image):
        try:
            return on_white(given)
        except Exception as error:
            raise DataError(f"{where} can't be shown in RGB: {told(error)}") from error
    if isinstance(given, Tensor):
        return _picture_of(given, where)
    raise DataError(
        f"{where} is {_told_of(given)}; a PIL image or a tensor [3, H, W] is needed (of an array: "
        "`Image.fromarray(array)` or `torch.from_numpy(array)`)"
    )


def _picture_of(image: Tensor, where: str) -> ImageOrTensor:
    """A tensor as everything after it expects it."""
    image = image.detach().cpu().as_subclass(Tensor)
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        last = " (channels come first)" if image.ndim == 3 and image.shape[-1] in (1, 3) else ""
        raise DataError(f"{where} is a tensor {list(image.shape)}, where [3, H, W] or [1, H, W] is needed{last}")
    image = image.expand(3, -1, -1)
    if image.dtype == torch.uint8:
        return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    if not image.is_floating_point():
        raise DataError(f"{where} is a tensor of {image.dtype}; pixels are uint8, or floats from 0 to 1")
    low, high = float(image.min()), float(image.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise DataError(
            f"{where} has pixels from {low:.3g} to {high:.3g}; floats from 0 to 1 are needed, or uint8: leave "
            "`Normalize` out, as the model's `mean` and `std` (or `normalization`) are applied later"
        )
    return image.float().clamp(0, 1)


def _told_of(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)} of {value.dtype}"
    if isinstance(value, tuple | list):
        return f"{len(value)} things"
    return f"{value!r}" if isinstance(value, int | float | str | None) else kind_of_object(value)
