"""What the models of an experiment learned about position: what query tokens see, as numbers, arrays and pictures."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from api.dependencies import ReportsDep
from api.openapi import PROBLEMS, problems
from api.path_parts import ArmName, DataSetName, ExperimentId, LayerName, ModelName, PartName, TokenColumn, TokenRow
from api.routes.receptive_fields import MapFormat, MapsFormat, files_described
from api.views import BiasViewView
from orchestrator.arm_labels import labelled
from orchestrator.report.content.arrays import to_npy, to_npz
from orchestrator.report.drawing.panels import render
from orchestrator.report.sections.position_bias.map_figure import mean_views_figure, one_view_figure
from orchestrator.service.experiments import Experiments

router = APIRouter(prefix="/experiments/{experiment_id}/learned-bias", tags=["learned bias"], responses=PROBLEMS)

_ARRAY, _PICTURE = "application/octet-stream", "image/png"


@router.get("", summary="List Position Biases", responses=problems(404))
async def list_learned_bias(experiment_id: ExperimentId, reports: ReportsDep) -> tuple[BiasViewView, ...]:
    """Every mean map of the experiment, with its fits and where its array and picture are."""
    return await reports.ask(listed_views, experiment_id)


def listed_views(experiments: Experiments, experiment_id: str) -> tuple[BiasViewView, ...]:
    """Every mean map, as it is shown."""
    place = f"/experiments/{quote(experiment_id, safe='')}/learned-bias"
    return tuple(
        BiasViewView(
            **view.model_dump(),
            key=view.key,
            links={kind.value: f"{place}/{quote(view.key)}?format={kind.value}" for kind in MapFormat},
        )
        for view in experiments.maps(experiment_id).views().means
    )


@router.get(
    "/maps",
    summary="Get All Position Biases",
    response_class=Response,
    responses={**problems(404, 422), **files_described("All mean maps: arrays by key, or those of the middle token.")},
)
async def get_learned_bias_maps(
    experiment_id: ExperimentId,
    reports: ReportsDep,
    maps_format: Annotated[MapsFormat, Query(alias="format", description="How to write them.")] = MapsFormat.NPZ,
) -> Response:
    """All mean maps in one file: `.npz` by key, or the report's picture."""
    content = await reports.ask(all_views, experiment_id, maps_format)
    return Response(content, media_type=_ARRAY if maps_format is MapsFormat.NPZ else _PICTURE)


def all_views(experiments: Experiments, experiment_id: str, maps_format: MapsFormat) -> bytes:
    """All mean maps in one file."""
    maps = experiments.maps(experiment_id)
    means = maps.views().means
    if maps_format is MapsFormat.NPZ:
        return to_npz(means)
    return render(mean_views_figure([labelled(mean, maps.labels) for mean in means]), "png")


@router.get(
    "/{model}/{dataset}/{arm}/{part}/{layer}/{row}_{column}",
    summary="Get One Position Bias",
    response_class=Response,
    responses={**problems(404, 422), **files_described("One mean map: [h, H, W] of float64, or its picture.")},
)
async def get_learned_bias_map(
    experiment_id: ExperimentId,
    model: ModelName,
    dataset: DataSetName,
    arm: ArmName,
    part: PartName,
    layer: LayerName,
    row: TokenRow,
    column: TokenColumn,
    reports: ReportsDep,
    map_format: Annotated[MapFormat, Query(alias="format", description="Format of the answer.")] = MapFormat.NPY,
) -> Response:
    """What one token sees of one part of one layer's bias, by the key that the list tells."""
    key = f"{model}/{dataset}/{arm}/{part}/{layer}/{row}_{column}"
    content = await reports.ask(one_view, experiment_id, key, map_format)
    return Response(content, media_type=_ARRAY if map_format is MapFormat.NPY else _PICTURE)


def one_view(experiments: Experiments, experiment_id: str, key: str, map_format: MapFormat) -> bytes:
    """One mean map."""
    maps = experiments.maps(experiment_id)
    view = maps.view(key)
    if map_format is MapFormat.NPY:
        return to_npy(view.map)
    return render(one_view_figure(labelled(view, maps.labels)), "png")
