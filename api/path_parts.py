"""The parts of a map's address: a list's `key` is made of them."""

from typing import Annotated

from fastapi import Path

from orchestrator.report.content.position_bias import ViewPart
from trainers.result import Moment

ExperimentId = Annotated[str, Path(description="`id` of the experiment, as handing it in has told.")]
ModelName = Annotated[str, Path(description="Name of the model, `cell.model` in the list.")]
DataSetName = Annotated[str, Path(description="Name of the data set, `cell.dataset` in the list.")]
ArmName = Annotated[str, Path(description="Name of the arm in the spec, such as `control`.")]
MomentName = Annotated[
    Moment, Path(description="When the model was looked at: before training, or with the weights that are scored.")
]
PartName = Annotated[
    ViewPart,
    Path(
        description="What is seen: the layer's own position embedding, the Gaussian alone, the sum of both, or the "
        "similarity of an absolute embedding."
    ),
]
LayerName = Annotated[
    str, Path(description="Layer from 0 in two digits, such as `02`; `all` for `absolute`, which is the whole model's.")
]
TokenRow = Annotated[int, Path(description="Row of the token in the grid, from 0.")]
TokenColumn = Annotated[int, Path(description="Column of the token in the grid, from 0.")]
