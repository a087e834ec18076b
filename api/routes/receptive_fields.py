"""What the models of an experiment see: mean maps as numbers, arrays and pictures."""

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from api.dependencies import ExperimentsDep
from api.openapi import PROBLEMS, problems
from api.path_parts import ArmName, DataSetName, ExperimentId, ModelName, MomentName, TokenColumn, TokenRow
from api.views import ReceptiveFieldView
from orchestrator.arm_labels import arm_labels, labelled
from orchestrator.report.field_arrays import to_npy, to_npz
from orchestrator.report.field_content import MeanField
from orchestrator.report.field_map_figure import field_map_figure, mean_field_figure
from orchestrator.report.figures import render
from orchestrator.report.parts import FIELD_ARRAYS, FIELDS
from orchestrator.service.maps import field_in, fields_in

router = APIRouter(
    prefix="/experiments/{experiment_id}/receptive-fields", tags=["receptive fields"], responses=PROBLEMS
)

_ARRAY, _PICTURE = "application/octet-stream", "image/png"


class MapFormat(StrEnum):
    """How one map is written."""

    NPY = "npy"
    PNG = "png"


class MapsFormat(StrEnum):
    """How all maps are written."""

    NPZ = "npz"
    PNG = "png"


def files_described(description: str) -> dict[int | str, dict[str, Any]]:
    """The answer of a call that gives an array or a picture."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"description": description, "content": {_ARRAY: binary, _PICTURE: binary}}}


@router.get("", summary="List Receptive Fields", responses=problems(404))
def list_receptive_fields(experiment_id: ExperimentId, experiments: ExperimentsDep) -> tuple[ReceptiveFieldView, ...]:
    """Every mean map of the experiment, with what it measures and where its array and picture are."""
    return tuple(_view(experiment_id, mean) for mean in fields_in(experiments.report(experiment_id, FIELDS)).means)


@router.get(
    "/maps",
    summary="Get All Receptive Fields",
    response_class=Response,
    responses={**problems(404, 422), **files_described("All mean maps: arrays by key, or all arms side by side.")},
)
def get_maps(
    experiment_id: ExperimentId,
    experiments: ExperimentsDep,
    maps_format: Annotated[MapsFormat, Query(alias="format", description="How to write them.")] = MapsFormat.NPZ,
) -> Response:
    """All mean maps in one file: `.npz` by key, or the report's picture with the differences between arms."""
    report = experiments.report(experiment_id, FIELD_ARRAYS)
    fields = fields_in(report)
    if maps_format is MapsFormat.NPZ:
        return Response(to_npz(fields), media_type=_ARRAY)
    return Response(render(field_map_figure(report.for_people()), "png"), media_type=_PICTURE)


@router.get(
    "/{model}/{dataset}/{arm}/{moment}/{row}_{column}",
    summary="Get One Receptive Field",
    response_class=Response,
    responses={**problems(404, 422), **files_described("One mean map: [H, W] of float64 with sum 1, or its picture.")},
)
def get_map(
    experiment_id: ExperimentId,
    model: ModelName,
    dataset: DataSetName,
    arm: ArmName,
    moment: MomentName,
    row: TokenRow,
    column: TokenColumn,
    experiments: ExperimentsDep,
    map_format: Annotated[MapFormat, Query(alias="format", description="How to write it.")] = MapFormat.NPY,
) -> Response:
    """The mean over seeds of one arm's receptive field, by the key that the list tells."""
    report = experiments.report(experiment_id, FIELD_ARRAYS)
    mean = field_in(report, f"{model}/{dataset}/{arm}/{moment}/{row}_{column}")
    if map_format is MapFormat.NPY:
        return Response(to_npy(mean.map), media_type=_ARRAY)
    return Response(render(mean_field_figure([labelled(mean, arm_labels(report.arms))]), "png"), media_type=_PICTURE)


def _view(experiment_id: str, mean: MeanField) -> ReceptiveFieldView:
    metrics = None
    if mean.metrics is not None:
        widths = {"sigma_x_tokens": mean.metrics.sigma_x_tokens, "sigma_y_tokens": mean.metrics.sigma_y_tokens}
        metrics = mean.metrics.scalars() | widths
    place = f"/experiments/{quote(experiment_id, safe='')}/receptive-fields/{quote(mean.key)}"
    return ReceptiveFieldView(
        key=mean.key,
        cell=mean.cell,
        arm=mean.arm,
        moment=mean.moment,
        target=mean.target,
        grid=mean.grid,
        shape_px=mean.shape_px,
        num_seeds=len(mean.seeds),
        seeds=mean.seeds,
        metrics=metrics,
        remark=mean.remark,
        links={kind.value: f"{place}?format={kind.value}" for kind in MapFormat},
    )
