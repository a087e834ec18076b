"""A split of generated images with objects."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from trainers.data.object_split import ObjectSplit
from trainers.data.objects import Objects, objects_of_masks
from trainers.data.scored_view import ScoredView
from trainers.data.seeded_transform import SeededTransform
from trainers.data.shapes_objects import Drawing


class DrawnObjects(ObjectSplit):
    """Drawings in memory."""

    def __init__(
        self,
        drawings: Sequence[Drawing],
        indices: Tensor,
        augment: SeededTransform | None,
        *,
        input_size_px: int,
        is_scored: bool,
        view: ScoredView | None,
    ) -> None:
        """Keep them, see `ObjectSplit`."""
        super().__init__(indices, augment, input_size_px=input_size_px, is_scored=is_scored, view=view)
        self._drawings = drawings

    def image(self, position: int) -> Image.Image:
        """The drawing."""
        return Image.fromarray(self._drawings[position].pixels)

    def objects(self, position: int) -> Objects:
        """What was drawn."""
        _, classes, masks = self._drawings[position]
        is_crowd = torch.zeros(len(classes), dtype=torch.bool)
        return objects_of_masks(torch.from_numpy(classes), torch.from_numpy(masks).to(torch.uint8), is_crowd)
