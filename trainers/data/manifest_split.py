"""The images of one split of a manifest, checked as they are read."""

import hashlib
import io
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from trainers.data.decoding import decode_image
from trainers.data.image_file import CenterCrop, DecodedSplit
from trainers.data.manifest import Manifest
from trainers.data.seeded_transform import SeededTransform
from trainers.data.stored_image import read_stored_image
from trainers.errors import DataError
from trainers.fence import Fence, fence


class ManifestSplit(DecodedSplit):
    """The images of one split of a manifest."""

    def __init__(
        self,
        manifest: Manifest,
        folder: Path,
        indices: Tensor,
        crop: CenterCrop,
        augment: SeededTransform | None,
        *,
        keep_px: int | None = None,
    ) -> None:
        """Keep the rows of a split.

        Args:
            manifest: all rows.
            folder: where their paths start.
            indices: [n] rows of this split.
            crop: the view where there is no augmentation.
            augment: random changes (training split only).
            keep_px: `decode_image`'s.
        """
        labels = torch.from_numpy(manifest.labels[indices.numpy()]).to(torch.int64)
        super().__init__(labels, indices, crop, augment, keep_px=keep_px)
        # Loader processes of another kind than forked ones would not know it.
        self._roots = fence().roots
        self._manifest, self._folder = manifest, folder

    def image(self, position: int) -> Image.Image:
        """The image, if its bytes are those that the manifest was made from.

        Checking costs about 3 % of what decoding does. It makes the data fingerprint true.
        """
        index = int(self.indices[position])
        stored = self._manifest.stored_image(index)
        name = str(stored._replace(path=str(self._folder / stored.path)) if not stored.shard else stored)
        # A link, or `..` in a manifest that somebody has made by hand.
        real = Fence(self._roots).check(self._folder / (stored.shard or stored.path), name)
        try:
            content = read_stored_image(self._folder, stored, Path(real))
        except OSError as error:
            raise DataError(
                f"{name} can't be read ({self._folder}): {error.strerror or error}; it was there when the manifest was "
                "written: restore it, or run `sigmalab data prepare` again"
            ) from error
        if hashlib.sha256(content).digest() != self._manifest.sha256(index):
            raise DataError(
                f"{name} is not the image that the manifest was made from (its sha256 differs): restore it, or run "
                "`sigmalab data prepare` again"
            )
        return decode_image(io.BytesIO(content), name, keep_px=self._keep_px)
