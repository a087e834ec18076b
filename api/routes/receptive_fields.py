"""What the models of an experiment see: mean maps as numbers, arrays and pictures."""

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from api.dependencies import ReportsDep
from api.openapi import PROBLEMS, problems
from api.path_parts import ArmName, DataSetName, ExperimentId, ModelName, MomentName, TokenColumn, TokenRow
from api.views import ReceptiveFieldView
from orchestrator.arm_labels import labelled
from orchestrator.report.content.arrays import to_npy, to_npz
from orchestrator.report.content.receptive_fields import MeanField
from orchestrator.report.drawing.panels import render
from orchestrator.report.sections.receptive_fields.map_figure import field_map_figure, mean_field_figure
from orchestrator.service.experiments import Experiments

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
async def list_receptive_fields(experiment_id: ExperimentId, reports: ReportsDep) -> tuple[ReceptiveFieldView, ...]:
    """Every mean map of the experiment, with what it measures and where its array and picture are."""
    return await reports.ask(listed_fields, experiment_id)


def listed_fields(experiments: Experiments, experiment_id: str) -> tuple[ReceptiveFieldView, ...]:
    """Every mean map, as it is shown."""
    return tuple(_view(experiment_id, mean) for mean in experiments.maps(experiment_id).fields(is_measured=True).means)


@router.get(
    "/maps",
    summary="Get All Receptive Fields",
    response_class=Response,
    responses={**problems(404, 422), **files_described("All mean maps: arrays by key, or all arms side by side.")},
)
async def get_maps(
    experiment_id: ExperimentId,
    reports: ReportsDep,
    maps_format: Annotated[MapsFormat, Query(alias="format", description="How to write them.")] = MapsFormat.NPZ,
) -> Response:
    """All mean maps in one file: `.npz` by key, or the report's picture with the differences between arms."""
    content = await reports.ask(all_fields, experiment_id, maps_format)
    return Response(content, media_type=_ARRAY if maps_format is MapsFormat.NPZ else _PICTURE)


def all_fields(experiments: Experiments, experiment_id: str, maps_format: MapsFormat) -> bytes:
    """All mean maps in one file."""
    maps = experiments.maps(experiment_id)
    fields = maps.fields()
    if maps_format is MapsFormat.NPZ:
        return to_npz(fields.means)
    spec = labelled(maps.spec, maps.labels)
    arms = [arm.name for arm in spec.arms]
    return render(field_map_figure(labelled(fields, maps.labels), arms, spec.control.name), "png")


@router.get(
    "/{model}/{dataset}/{arm}/{moment}/{row}_{column}",
    summary="Get One Receptive Field",
    response_class=Response,
    responses={**problems(404, 422), **files_described("One mean map: [H, W] of float64 with sum 1, or its picture.")},
)
async def get_map(
    experiment_id: ExperimentId,
    model: ModelName,
    dataset: DataSetName,
    arm: ArmName,
    moment: MomentName,
    row: TokenRow,
    column: TokenColumn,
    reports: ReportsDep,
    map_format: Annotated[MapFormat, Query(alias="format", description="Format of the answer.")] = MapFormat.NPY,
) -> Response:
    """The mean over seeds of one arm's receptive field, by the key that the list tells."""
    key = f"{model}/{dataset}/{arm}/{moment}/{row}_{column}"
    content = await reports.ask(one_field, experiment_id, key, map_format)
    return Response(content, media_type=_ARRAY if map_format is MapFormat.NPY else _PICTURE)


def one_field(experiments: Experiments, experiment_id: str, key: str, map_format: MapFormat) -> bytes:
    """One mean map."""
    maps = experiments.maps(experiment_id)
    mean = maps.field(key)
    if map_format is MapFormat.NPY:
        return to_npy(mean.map)
    return render(mean_field_figure([labelled(mean, maps.labels)]), "png")


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
