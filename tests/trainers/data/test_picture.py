"""One image beside its predictions: never another one's."""

import io

import numpy as np
import pytest
from PIL import Image

from trainers.config import TrialConfig
from trainers.data.picture import picture
from trainers.errors import DataError


def test_an_image_is_shown_only_of_the_data_that_were_scored() -> None:
    data = {"kind": "digits", "num_train": 10, "num_val": 10, "num_test": 10}
    model = {"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1, "image_size_px": 16}
    config = TrialConfig.model_validate({"model": model, "dataset": data, "seed": 3})
    place = int(config.dataset._split()[2][0])
    known = config.dataset.fingerprint(None)
    shown = picture(config, None, place, fingerprint=known)
    assert np.asarray(Image.open(io.BytesIO(shown))).shape == (16, 16, 3)
    assert picture(config, None, place, fingerprint=None) == shown
    with pytest.raises(DataError, match="have changed since this trial"):
        picture(config, None, place, fingerprint="0" * 20)
    with pytest.raises(DataError, match="no scored image"):
        picture(config, None, 10**6, fingerprint=known)
