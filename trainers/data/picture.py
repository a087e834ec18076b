"""One scored image of a data set, as the model gets it: what a page shows beside two predictions."""

import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.config import TrialConfig, canonical_json
from trainers.data.augmentation import NoAugmentation
from trainers.data.scored_view import scored_view
from trainers.errors import DataError

if TYPE_CHECKING:
    from trainers.data.splits import ImageSplit


def picture(config: TrialConfig, data_root: Path | None, place: int, *, fingerprint: str | None) -> bytes:
    """A PNG of a test or validation image, before it is normalised.

    Args:
        config: of a trial that scored it.
        data_root: where relative paths start (`None`: the current folder).
        place: of the image in the whole data set, as the stored predictions have it.
        fingerprint: of the data that were scored (`None`: not known).

    Raises:
        DataError: the data are absent, broken or others by now, or no scored image has this place.
    """
    import numpy as np
    import torch
    from PIL import Image

    found, splits = _scored(canonical_json(config.model_copy(update={"seed": 0})), data_root)
    if fingerprint is not None and found != fingerprint:
        # The same place may be another image's.
        raise DataError(f"the images of {config.dataset.label} have changed since this trial scored them")
    for split, positions in splits:
        if place in positions:
            image = torch.as_tensor(split[positions[place]][0])
            pixels = image if image.dtype == torch.uint8 else (image * 255).round().to(torch.uint8)
            file = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())).save(file, "PNG")
            return file.getvalue()
    raise DataError(f"no scored image of {config.dataset.label} has the place {place}")


@lru_cache(maxsize=2)
def _scored(written: str, data_root: Path | None) -> "tuple[str, list[tuple[ImageSplit, Mapping[int, int]]]]":
    """The data's fingerprint; test and validation, each with the position of every place."""
    config = TrialConfig.model_validate_json(written)
    side = config.model.input_size_px
    view = scored_view(config.normalization, input_size_px=side, published=config.model.published_view)
    splits = config.dataset.load(
        data_root,
        input_size_px=side,
        augmentation=NoAugmentation(),
        seed=0,
        view=config.task.scored_view(view, input_size_px=side),
    )
    return config.dataset.fingerprint(data_root), [
        (split, {int(place): position for position, place in enumerate(split.indices.tolist())})
        for split in (splits.test, splits.val)
    ]
