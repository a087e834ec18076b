"""What the models of an experiment learned about position: what query tokens see, as numbers, arrays and pictures."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from api.dependencies import ExperimentsDep
from api.openapi import PROBLEMS, problems
from api.path_parts import ArmName, DataSetName, ExperimentId, LayerName, ModelName, PartName, TokenColumn, TokenRow
from api.routes.receptive_fields import MapFormat, MapsFormat, files_described
from api.views import BiasViewView
from orchestrator.arm_labels import arm_labels, labelled
from orchestrator.report.bias_view_figure import bias_view_figure, one_view_figure
from orchestrator.report.field_arrays import to_npy, to_npz
from orchestrator.report.figures import render
from orchestrator.report.parts import VIEWS
from orchestrator.service.maps import view_in, views_in

router = APIRouter(prefix="/experiments/{experiment_id}/learned-bias", tags=["learned bias"], responses=PROBLEMS)

_ARRAY, _PICTURE = "application/octet-stream", "image/png"


@router.get("", summary="List Position Biases", responses=problems(404))
def list_learned_bias(experiment_id: ExperimentId, experiments: ExperimentsDep) -> tuple[BiasViewView, ...]:
    """Every mean map of the experiment, with its fits and where its array and picture are."""
    place = f"/experiments/{quote(experiment_id, safe='')}/learned-bias"
    return tuple(
        BiasViewView(
            **view.model_dump(),
            key=view.key,
            links={kind.value: f"{place}/{quote(view.key)}?format={kind.value}" for kind in MapFormat},
        )
        for view in views_in(experiments.report(experiment_id, VIEWS)).means
    )


@router.get(
    "/maps",
    summary="Get All Position Biases",
    response_class=Response,
    responses={**problems(404, 422), **files_described("All mean maps: arrays by key, or those of the middle token.")},
)
def get_learned_bias_maps(
    experiment_id: ExperimentId,
    experiments: ExperimentsDep,
    maps_format: Annotated[MapsFormat, Query(alias="format", description="How to write them.")] = MapsFormat.NPZ,
) -> Response:
    """All mean maps in one file: `.npz` by key, or the report's picture."""
    report = experiments.report(experiment_id, VIEWS)
    views = views_in(report)
    if maps_format is MapsFormat.NPZ:
        return Response(to_npz(views), media_type=_ARRAY)
    return Response(render(bias_view_figure(report.for_people()), "png"), media_type=_PICTURE)


@router.get(
    "/{model}/{dataset}/{arm}/{part}/{layer}/{row}_{column}",
    summary="Get One Position Bias",
    response_class=Response,
    responses={**problems(404, 422), **files_described("One mean map: [h, H, W] of float64, or its picture.")},
)
def get_learned_bias_map(
    experiment_id: ExperimentId,
    model: ModelName,
    dataset: DataSetName,
    arm: ArmName,
    part: PartName,
    layer: LayerName,
    row: TokenRow,
    column: TokenColumn,
    experiments: ExperimentsDep,
    map_format: Annotated[MapFormat, Query(alias="format", description="How to write it.")] = MapFormat.NPY,
) -> Response:
    """What one token sees of one part of one layer's bias, by the key that the list tells."""
    report = experiments.report(experiment_id, VIEWS)
    view = view_in(report, f"{model}/{dataset}/{arm}/{part}/{layer}/{row}_{column}")
    if map_format is MapFormat.NPY:
        return Response(to_npy(view.map), media_type=_ARRAY)
    return Response(render(one_view_figure(labelled(view, arm_labels(report.arms))), "png"), media_type=_PICTURE)
