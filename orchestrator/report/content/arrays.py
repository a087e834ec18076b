"""Mean receptive fields and position biases as files of arrays."""

import io
from collections.abc import Sequence

import numpy as np

from orchestrator.report.content.position_bias import BiasView
from orchestrator.report.content.receptive_fields import Array, MeanField

MEAN_MAPS = "receptive_field_maps.npz"
"""Name of the file in a report's folder."""

MEAN_VIEWS = "learned_bias.npz"
"""The same for what query tokens see."""


def to_npz(means: Sequence[MeanField] | Sequence[BiasView]) -> bytes:
    """Mean maps over seeds by their keys, such as `<model>/<data set>/<arm>/<moment>/<row>_<column>` -> [H, W]."""
    file = io.BytesIO()
    arrays = {mean.key: mean.map for mean in means}
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def to_npy(values: Array) -> bytes:
    """One array as `numpy.load` reads it."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()
