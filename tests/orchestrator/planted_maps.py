"""Made-up receptive fields: Gaussians of known widths, as files in trials' folders."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.planning.hardware import trial_folder
from orchestrator.report import TrialRecord
from trainers.analyses.field_maps import FIELD_MAPS, GRADIENT_SUM

GRID_TOKENS, SIZE_PX = 8, 32
PLACE = (3, 3)
SIGMA_PX = {"control": 7.0, "gaussian": 4.0, "placebo": 7.5}
"""After training, of seed 0; before it, all are 2 px wider."""


def planted_map(arm: str, seed: int, moment: str) -> npt.NDArray[np.float64]:
    """[32, 32] with sum 1: a Gaussian around the token, wider down than across, a little wider with every seed."""
    sigma = SIGMA_PX[arm] + 0.3 * seed + (2.0 if moment == "initial" else 0.0)
    center = 4 * PLACE[0] + 1.5
    down, across = np.mgrid[:SIZE_PX, :SIZE_PX] - center
    values = np.exp(-(across**2) / (2 * sigma**2) - down**2 / (2 * (1.2 * sigma) ** 2))
    return values / values.sum()


def rms_radius_tokens(values: npt.NDArray[np.float64]) -> float:
    """Written out again, to compare with."""
    down, across = np.mgrid[:SIZE_PX, :SIZE_PX] - (4 * PLACE[0] + 1.5)
    return float(np.sqrt((values * (down**2 + across**2)).sum()) / 4)


def with_fields(record: TrialRecord) -> TrialRecord:
    """The same trial, asked for its receptive field: metrics of the planted maps, every second epoch too."""
    assert record.result is not None
    document = record.config.model_dump(mode="json") | {"analyses": [{"kind": "receptive_field", "every_epochs": 2}]}
    initial, final = (
        rms_radius_tokens(planted_map(record.arm, record.seed, moment)) for moment in ("initial", "final")
    )
    epochs = [
        report.model_copy(update={"metrics": report.metrics | {"receptive_field_epoch/rms_radius_tokens": final + 0.1}})
        if report.epoch % 2
        else report
        for report in record.result.epochs
    ]
    metrics = record.result.metrics | {
        "receptive_field/rms_radius_tokens": final,
        "receptive_field/area_50_fraction": 0.1 + 0.01 * record.seed,
        "receptive_field_initial/rms_radius_tokens": initial,
    }
    result = record.result.model_copy(update={"epochs": epochs, "metrics": metrics})
    config = type(record.config).model_validate(document)
    return record.model_copy(update={"config": config, "result": result})


def write_maps(storage: Path, identity: str, arm: str, seed: int) -> Path:
    """What the trial leaves behind on one CPU worker."""
    file = storage / trial_folder(identity, "cpu-1") / FIELD_MAPS
    file.parent.mkdir(parents=True)
    name = f"{PLACE[0]}_{PLACE[1]}"
    maps = {f"{moment}/{name}": planted_map(arm, seed, moment) for moment in ("initial", "final")}
    sums = {f"{GRADIENT_SUM}/{key}": np.array(0.3) for key in maps}
    np.savez(file, **maps, **sums, grid=np.array([GRID_TOKENS, GRID_TOKENS]))
    return file


def write_all(storage: Path, records: Iterable[TrialRecord]) -> list[Path]:
    """The maps of all trials; gives their files."""
    return [write_maps(storage, record.identity, record.arm, record.seed) for record in records]
