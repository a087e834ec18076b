"""What a study of receptive fields or position biases leaves behind: a JSON of this shape, beside a file of maps.

Written and read here; needs no torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from trainers.analyses.bias_maps import BIAS_MAPS, read_bias_maps, write_bias_maps
from trainers.analyses.field_maps import FIELD_MAPS, GRADIENT_SUM
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED
from trainers.analyses.map_metrics import ReceptiveField, ReceptiveFieldMetrics
from trainers.atomic_file import replaced_file
from trainers.result import LayerFit
from trainers.strict import StrictModel

RESULT, BIAS_RESULT = "receptive_field.json", "learned_bias.json"
"""Names of the files beside the maps."""


class LookedAt(StrictModel):
    """One receptive field of a study."""

    key: str
    """Name of its map in the file of maps."""
    intervention: str
    """What was done to the model before."""
    place: tuple[int, int]
    """Row and column of the token."""
    grid: tuple[int, int]
    """Height and width of the token grid."""
    num_images: int
    """Images behind it."""
    gradient_sum: float
    """What the map was divided by, per image: times this it is the mean gradient of the channel mean."""
    metrics: ReceptiveFieldMetrics
    """What it measures."""
    remark: str
    """What a reader must know before using the widths; empty if nothing."""
    warnings: tuple[str, ...]
    """What makes it misleading."""


class Study(StrictModel):
    """Receptive fields of one model under several interventions."""

    model: str
    """Label of the model."""
    dataset: str
    """Label of the data set whose validation images were used."""
    fields: tuple[LookedAt, ...]
    """In the order of the interventions, target by target."""


class BiasLook(StrictModel):
    """The position bias of a model after one intervention."""

    intervention: str
    """What was done to the model before; its maps are those whose names start so."""
    fits: tuple[LayerFit, ...]
    """The Gaussian in each layer's own embedding and in the sum, and in an absolute embedding."""
    attention_bias: Literal["none", "gaussian", "permuted_gaussian", "from_weights"]
    """Kind of the model's attention bias: a permuted Gaussian, the placebo, lies around no token."""
    gaussians: dict[str, float]
    """`sigma/00` (tokens) and `amplitude/00` of each layer's Gaussian; empty without one."""


class BiasStudy(StrictModel):
    """Position biases of one model under several interventions."""

    model: str
    """Label of the model."""
    looks: tuple[BiasLook, ...]
    """In the order of the interventions."""
    good_r_squared: float = GOOD_R_SQUARED
    """R^2 from which on a map is called Gaussian."""


def write_study(folder: Path, study: Study, fields: Mapping[str, ReceptiveField]) -> None:
    """Write what was measured, and the maps behind it.

    Args:
        folder: where to.
        study: the numbers.
        fields: its receptive fields, by the keys of the study.

    Raises:
        OSError: it can't be written.
    """
    arrays = {key: field.map for key, field in fields.items()}
    arrays |= {f"{GRADIENT_SUM}/{key}": np.array(field.gradient_sum) for key, field in fields.items()}
    with replaced_file(folder / FIELD_MAPS) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    with replaced_file(folder / RESULT) as file:
        file.write(study.model_dump_json(indent=2).encode())


def read_study(folder: Path) -> Study:
    """What was measured."""
    return Study.model_validate_json((folder / RESULT).read_bytes())


def read_study_maps(folder: Path, study: Study) -> dict[str, npt.NDArray[np.float64]]:
    """The maps of a study, by its keys: [H, W], sum 1."""
    with np.load(folder / FIELD_MAPS) as arrays:
        return {field.key: arrays[field.key] for field in study.fields}


def write_bias_study(folder: Path, study: BiasStudy, maps: Mapping[str, npt.NDArray[np.floating]]) -> None:
    """Write what was found, and the maps behind it.

    Args:
        folder: where to.
        study: the fits.
        maps: `<intervention>/<name>` -> map; names are those of `trainers.analyses.learned_bias`.

    Raises:
        OSError: it can't be written.
    """
    write_bias_maps(folder / BIAS_MAPS, maps)
    with replaced_file(folder / BIAS_RESULT) as file:
        file.write(study.model_dump_json(indent=2).encode())


def read_bias_study(folder: Path) -> BiasStudy:
    """What was found."""
    return BiasStudy.model_validate_json((folder / BIAS_RESULT).read_bytes())


def read_bias_study_maps(folder: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The maps of a study, by `<intervention>/<name>`."""
    return read_bias_maps(folder / BIAS_MAPS)
