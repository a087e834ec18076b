"""A split of images whose objects are in a file of COCO's format."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainers.data.coco_index import CocoIndex
from trainers.data.coco_outline import outlined_mask
from trainers.data.image_cache import ImageCache
from trainers.data.image_files import ImageFiles
from trainers.data.object_split import ObjectSplit
from trainers.data.objects import Objects
from trainers.data.scored_view import ScoredView
from trainers.data.seeded_transform import SeededTransform
from trainers.data.splitting import Positions
from trainers.errors import DataError
from trainers.fence import Fence, fence


class CocoSplit(ObjectSplit):
    """Images are decoded, and outlines filled, when a batch needs them; an index in memory says where they are."""

    def __init__(
        self,
        index: CocoIndex,
        rows: Positions,
        paths: Sequence[str],
        indices: Tensor,
        augment: SeededTransform | None,
        *,
        turn: bool,
        input_size_px: int,
        is_scored: bool,
        view: ScoredView | None,
    ) -> None:
        """Keep the index and which of its images are meant.

        Args:
            index: of a whole file.
            rows: [n] images of the index.
            paths: [n] of these images.
            indices: [n] int64, their places in the whole data set.
            augment: random changes to image and objects (training only).
            turn: whether images are turned as EXIF says.
            input_size_px: side of the model's input.
            is_scored: see `ObjectSplit`.
            view: see `ObjectSplit`.
        """
        super().__init__(indices, augment, input_size_px=input_size_px, is_scored=is_scored, view=view)
        self._roots = fence().roots
        self._index, self._rows = index, rows
        self._images = ImageFiles(paths, indices, turn=turn)

    def keep_decoded(self, cache: ImageCache) -> None:
        """Decode no image twice, as far as the cache reaches; outlines are filled each time."""
        self._images.keep_decoded(cache)

    def image(self, position: int) -> Image.Image:
        """The file's image.

        Raises:
            DataError: it can't be read, or is of another size than the file of annotations says.
        """
        image = self._images.image(position)
        height, width = self._index.sizes_px[self._rows[position]].tolist()
        require_said_size(self._images.path(position), image.size, (width, height), self._index)
        return image

    def objects(self, position: int) -> Objects:
        """Its objects, crowds among them, with the boxes and areas that the file tells; none without area.

        Raises:
            DataError: the file has changed.
        """
        index, row = self._index, int(self._rows[position])
        Fence(self._roots).check(index.file)
        height, width = index.sizes_px[row].tolist()
        here = slice(*index.starts[row : row + 2].tolist())
        has_area = index.has_area[here]
        masks = [
            outlined_mask(outline, height, width)
            for outline, is_kept in zip(index.outlines(row), has_area.tolist(), strict=True)
            if is_kept
        ]
        stacked = np.stack(masks) if masks else np.zeros((0, height, width), dtype=np.uint8)
        boxes, areas = index.boxes[here][has_area], index.areas_px[here][has_area]
        areas = np.where(np.isnan(areas), stacked.sum(axis=(1, 2)), areas)
        return Objects(
            boxes=torch.from_numpy(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)).float(),
            classes=torch.from_numpy(index.classes[here][has_area]).long(),
            masks=torch.from_numpy(stacked),
            areas_px=torch.from_numpy(areas).float(),
            is_crowd=torch.from_numpy(index.is_crowd[here][has_area]),
        )


def require_said_size(path: str, size: tuple[int, int], said: tuple[int, int], index: CocoIndex) -> None:
    """Refuse an image of another size than its file of annotations says.

    Args:
        path: of the image.
        size: its width and height.
        said: what the file says.
        index: of the file.

    Raises:
        DataError: they differ.
    """
    if size != said:
        turned = '; if EXIF turns the image, set `exif` to "apply"' if size == said[::-1] else ""
        raise DataError(
            f"the image {path} is {size[0]} x {size[1]} pixels, and {index.file} says {said[0]} x {said[1]}: its "
            f"outlines are not of this image; restore it, or mend the file{turned}"
        )
