"""What is asked of a model, whether in a trial or by itself, and whether the model has it. Nothing is computed here."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from trainers.analyses.targets import CenterTarget, TargetConfig
from trainers.errors import AnalysisError
from trainers.strict import StrictModel

NormSide = Literal["before", "after", "after_if_trained"]
"""On which side of the final norm."""


class FeaturePoint(StrictModel):
    """Where in the model the target lies."""

    layer: int | None = Field(default=None, ge=0)
    """Block of a ViT, stage of a hierarchical model such as Swin, from 0 (`null`: the last one)."""
    norm: NormSide = "before"
    """Before or after the final norm: two different quantities. `after` is what the paper writes and its tool takes,
    but the channel mean of a LayerNorm whose weights are all equal, as in an untrained model, is constant: its gradient
    is rounding noise. `after_if_trained` takes such a model before the norm, and says so, and all others after it."""


class ReceptiveFieldConfig(StrictModel):
    """Which receptive field, and how it is computed."""

    target: Annotated[TargetConfig, Field(discriminator="kind")] = CenterTarget()
    """Whose receptive field."""
    point: FeaturePoint = FeaturePoint()
    """Where in the model."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` runs forward and backward under autocast; it moves the normalised map by a few thousandths."""


class LearnedBiasConfig(StrictModel):
    """How closely the position bias is looked at."""

    query: Annotated[TargetConfig, Field(discriminator="kind")] = CenterTarget()
    """The tokens whose view is kept as an image; that of the middle token always is."""
    per_head: bool = False
    """Whether a Gaussian is fitted to each head too; to the mean over heads it always is (a fit takes some 20 ms)."""


def check_target(config: ReceptiveFieldConfig, grids: Sequence[tuple[int, int]], name: str) -> None:
    """Refuse a target that a model has not, before anything is built.

    Args:
        config: what is looked at.
        grids: height and width of the features of every layer.
        name: the model's.

    Raises:
        AnalysisError: there is no such layer or token.
    """
    config.target.places(*grids[chosen_layer(config.point, len(grids), name)])


def check_query(config: LearnedBiasConfig, grids: Sequence[tuple[int, int]]) -> None:
    """Refuse queries that no layer has.

    Args:
        config: how closely the bias is looked at.
        grids: height and width of what each attention layer sees at once; where only some of them have the queries
            (the windows of Swin's stages differ), the others show their middle token.

    Raises:
        AnalysisError: none of them has.
    """
    if not grids:
        return
    reasons = []
    for grid in dict.fromkeys(grids):
        try:
            config.query.places(*grid)
        except AnalysisError as error:
            reasons.append(error)
    if len(reasons) == len(set(grids)):
        raise reasons[0]


def chosen_layer(point: FeaturePoint, num_layers: int, name: str) -> int:
    """Number of the layer that the target lies in.

    Args:
        point: where in the model.
        num_layers: that the model has.
        name: the model's.

    Raises:
        AnalysisError: there is no such layer.
    """
    if point.layer is None:
        return num_layers - 1
    if point.layer >= num_layers:
        raise AnalysisError(f"{name} has no layer {point.layer}: its layers are 0 to {num_layers - 1}")
    if point.norm != "before" and point.layer != num_layers - 1:
        raise AnalysisError(
            f'"norm": "{point.norm}" means the final norm, and layer {point.layer} is not the last ({num_layers - 1})'
        )
    return point.layer
