"""Files of maps: what is written is what is read, by processes without torch, and what is odd is told."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainers.analyses.bias_maps import BIAS_MAPS, read_bias_maps, read_views, view_name, write_bias_maps
from trainers.analyses.field_maps import FIELD_MAPS, GRADIENT_SUM, MappedField, read_field_maps, write_field_maps
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED
from trainers.analyses.map_metrics import ReceptiveField, measure
from trainers.analyses.study import (
    BiasStudy,
    LookedAt,
    Study,
    read_bias_study,
    read_bias_study_maps,
    read_study,
    read_study_maps,
    write_bias_study,
    write_study,
)


def hill(sigma: float = 2.0) -> np.ndarray:
    down, across = np.mgrid[:16, :16] - 7.5
    values = np.exp(-(down**2 + across**2) / (2 * sigma**2))
    return values / values.sum()


def test_a_trials_receptive_fields_come_back(tmp_path: Path) -> None:
    fields = [MappedField(f"{moment}/1_2", hill(), 0.25, (4, 4)) for moment in ("initial", "final")]
    write_field_maps(tmp_path, fields)
    grid, maps = read_field_maps(tmp_path / FIELD_MAPS)
    assert grid == (4, 4)
    assert list(maps) == ["initial/1_2", "final/1_2"]
    np.testing.assert_allclose(maps["final/1_2"], hill(), rtol=1e-6)
    with np.load(tmp_path / FIELD_MAPS) as arrays:
        assert float(arrays[f"{GRADIENT_SUM}/final/1_2"]) == 0.25
        assert arrays["final/1_2"].dtype == np.float32


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        (MappedField("later/1_2", hill(), 0.25, (4, 4)), "it holds 'later/1_2' of shape (16, 16)"),
        (MappedField("final/4_0", hill(), 0.25, (4, 4)), "it holds 'final/4_0' on a grid of 4 x 4 tokens"),
        (MappedField("final/1_2", 2 * hill(), 0.25, (4, 4)), "'final/1_2' is not a share of a whole"),
        (MappedField("final/1_2", np.full((4, 4), np.nan), 0.25, (4, 4)), "'final/1_2' is not a share of a whole"),
    ],
)
def test_odd_receptive_fields_are_told(tmp_path: Path, field: MappedField, fault: str) -> None:
    write_field_maps(tmp_path, [field])
    with pytest.raises(ValueError, match=f"^{re.escape(fault)}"):
        read_field_maps(tmp_path / FIELD_MAPS)


def test_a_trials_position_biases_come_back(tmp_path: Path) -> None:
    own, absolute = np.random.default_rng(0).standard_normal((2, 4, 4)), np.ones((4, 4))
    views = {view_name("own", 3, (1, 2)): own, view_name("absolute", None, (0, 1)): absolute}
    write_bias_maps(tmp_path / BIAS_MAPS, {"own_03": np.ones((2, 7, 7)), **views})
    read = read_views(tmp_path / BIAS_MAPS)
    assert list(read) == ["own/03/1_2", "absolute/0_1"]
    np.testing.assert_array_equal(read["own/03/1_2"], own.astype(np.float32))
    assert list(read_bias_maps(tmp_path / BIAS_MAPS)) == ["own_03", *views]


def test_odd_position_biases_are_told(tmp_path: Path) -> None:
    write_bias_maps(tmp_path / BIAS_MAPS, {view_name("own", 0, (1, 2)): np.ones((4, 4))})
    with pytest.raises(ValueError, match=r"^it holds query/own/00/1_2 of shape \(4, 4\)$"):
        read_views(tmp_path / BIAS_MAPS)
    write_bias_maps(tmp_path / BIAS_MAPS, {"own_00": np.ones((2, 7, 7))})
    assert read_views(tmp_path / BIAS_MAPS) == {}


def test_studies_come_back(tmp_path: Path) -> None:
    field = ReceptiveField(map=hill(), place=(1, 2), grid=(4, 4), num_images=8, gradient_sum=0.25)
    looked = LookedAt(
        key="none/1_2",
        intervention="none",
        place=field.place,
        grid=field.grid,
        num_images=field.num_images,
        gradient_sum=field.gradient_sum,
        metrics=measure(field),
        remark="",
        warnings=(),
    )
    study = Study(model="a", dataset="b", fields=(looked,))
    write_study(tmp_path, study, {"none/1_2": field})
    assert read_study(tmp_path) == study
    np.testing.assert_array_equal(read_study_maps(tmp_path, study)["none/1_2"], field.map)

    of_bias = BiasStudy(model="a", looks=())
    write_bias_study(tmp_path, of_bias, {"none/own_00": np.ones((2, 7, 7))})
    assert read_bias_study(tmp_path) == of_bias
    assert of_bias.good_r_squared == GOOD_R_SQUARED
    assert list(read_bias_study_maps(tmp_path)) == ["none/own_00"]


def test_readers_need_no_torch() -> None:
    code = (
        "import sys, trainers.analyses.field_maps, trainers.analyses.bias_maps, trainers.analyses.study\n"
        "print(sorted({'torch', 'timm', 'scipy', 'ray'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
