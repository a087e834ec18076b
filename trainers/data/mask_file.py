"""Images with masks in files: which value of a mask's file is which class, and a split that reads both."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from trainers.counted import counted
from trainers.data.class_mask import UNSCORED, ClassMask
from trainers.data.decoding import UndecodableError, decode_image, decoder_at_work
from trainers.data.image_cache import ImageCache
from trainers.data.image_files import ImageFiles
from trainers.data.mask_folder_layout import Pair
from trainers.data.mask_split import MaskSplit
from trainers.data.seeded_transform import SeededTransform
from trainers.errors import DataError
from trainers.fence import Fence, fence

MAX_ASPECT_RATIO = 16
"""Longer images would take gigabytes once their shorter side is a model's."""
NUM_MASKS_DECODED = 32
"""Masks that a plan looks into, spread evenly over the set."""


class MaskValues(NamedTuple):
    """What the values of a mask's file mean."""

    num_classes: int
    ignored: tuple[int, ...]
    """Values without a class, beside 255."""
    zero_is_ignored: bool
    """Whether 0 has no class and 1 is the first one."""

    def ids(self, mask: Image.Image, name: str) -> ClassMask:
        """The class ids of a decoded mask.

        Raises:
            DataError: it has several channels or other values than the classes'; names the file.
        """
        if mask.mode not in ("P", "L", "1"):
            raise DataError(
                f"the mask {name} is of Pillow's mode {mask.mode}: expected one number for each pixel, so a palette or "
                "grey image of 8 bits whose values are class ids, not colours"
            )
        values = np.array(mask, dtype=np.uint8)
        found = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
        lookup = self._lookup()
        if unknown := [int(value) for value in found if lookup[value] < 0]:
            first = int(self.zero_is_ignored)
            raise DataError(
                f"the mask {name} has the value {', '.join(map(str, unknown[:5]))}, and the {self.num_classes} classes "
                f"are {first} to {first + self.num_classes - 1}: name all classes, put values without one into "
                "`ignore` (255 is there), or set `zero_is_ignored` if 0 is no class"
            )
        return ClassMask(torch.from_numpy(lookup.astype(np.uint8)[values]))

    def _lookup(self) -> npt.NDArray[np.int64]:
        """Value -> id, or -1."""
        ids = np.arange(256) - int(self.zero_is_ignored)
        ids[ids >= self.num_classes] = -1
        ids[[255, *self.ignored, *([0] if self.zero_is_ignored else [])]] = UNSCORED
        return ids


class MaskFileSplit(MaskSplit):
    """A split whose images and masks are files."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        indices: Tensor,
        augment: SeededTransform | None,
        *,
        values: MaskValues,
        turn: bool,
        input_size_px: int,
        is_scored: bool,
    ) -> None:
        """Keep the list of files, what values mean, and whether images are turned as EXIF says."""
        super().__init__(indices, augment, input_size_px=input_size_px, is_scored=is_scored)
        # Loader processes of another kind than forked ones would not know it.
        self._roots = fence().roots
        self._images = ImageFiles([pair.image.path for pair in pairs], indices, turn=turn)
        self._masks, self._values = [pair.mask.path for pair in pairs], values

    def keep_decoded(self, cache: ImageCache) -> None:
        """Decode no image twice, as far as the cache reaches; masks are decoded each time."""
        self._images.keep_decoded(cache)

    def image(self, position: int) -> Image.Image:
        """The file's image as it looks on white paper.

        Raises:
            DataError: it can't be read, is very long, or has become a link that leads out of the fence.
        """
        image = self._images.image(position)
        if max(image.size) > MAX_ASPECT_RATIO * min(image.size):
            raise DataError(
                f"{self._images.path(position)} is {image.width} x {image.height} pixels: one side is more than "
                f"{MAX_ASPECT_RATIO} times the other; cut it into pieces, and its mask"
            )
        return image

    def mask(self, position: int) -> ClassMask:
        """The file's class ids.

        Raises:
            DataError: it can't be read, is no mask of these classes, or is of another size than its image.
        """
        return read_mask(self._masks[position], self._values, self._roots)

    def _shown(self, position: int, index: int) -> tuple[Image.Image, ClassMask]:
        image, mask = self.image(position), self.mask(position)
        size = (mask.shape[1], mask.shape[0])
        require_same_size(self._images.path(position), image.size, self._masks[position], size)
        return self._show(image, mask, index)


def read_mask(path: str, values: MaskValues, roots: tuple[Path, ...] | None) -> ClassMask:
    """A mask's file as class ids.

    Raises:
        DataError: it can't be read, or is no mask of these classes.
    """
    return values.ids(decode_image(Fence(roots).check(path), path, lambda image: image.copy()), path)


def require_same_size(image: str, size: tuple[int, int], mask: str, mask_size: tuple[int, int]) -> None:
    """Refuse a mask of another size than its image.

    Args:
        image: path of the image.
        size: its width and height.
        mask: path of the mask.
        mask_size: its width and height.

    Raises:
        DataError: they differ.
    """
    if size != mask_size:
        turned = '; if EXIF turns the image, set `exif` to "apply"' if size == mask_size[::-1] else ""
        raise DataError(
            f"the mask {mask} is {mask_size[0]} x {mask_size[1]} pixels and its image {image} {size[0]} x {size[1]}: "
            f"each pixel needs its class; make the mask anew{turned}"
        )


def look_into_masks(pairs: Sequence[Pair], values: MaskValues, *, turn: bool) -> None:
    """Decode some masks, so that wrong ids and sizes are told before anything is trained.

    Args:
        pairs: all of a data set.
        values: what is in the masks.
        turn: whether images are turned as EXIF says, so that their headers don't tell how they lie.

    Raises:
        DataError: one of them can't be read or is no mask of these classes, or all have 0 and 255 only.
    """
    num_chosen = min(NUM_MASKS_DECODED, len(pairs))
    ids: set[int] = set()
    for number in range(num_chosen):
        image, mask = (file.path for file in pairs[number * len(pairs) // num_chosen])
        fence().count(mask, 0)
        found = read_mask(mask, values, fence().roots)
        ids.update(found.unique().tolist())
        if not turn:
            require_same_size(image, _size_of(image), mask, (found.shape[1], found.shape[0]))
    if ids == {0, UNSCORED} and not values.ignored and not values.zero_is_ignored:
        raise DataError(
            f"the masks hold 0 and 255 only ({counted(num_chosen, 'mask')} looked at, such as {mask}), and 255 is no "
            "class: write 1 for the second class"
        )


def _size_of(path: str) -> tuple[int, int]:
    """Width and height, from the header."""
    try:
        with decoder_at_work(), Image.open(fence().check(path)) as image:
            return image.size
    except UndecodableError as error:
        raise DataError(f"{path} can't be read as an image: {error}; replace or remove it") from error
