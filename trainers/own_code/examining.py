"""Tries the user's own code on one batch, in the process that imports it."""

from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from trainers.activation_checkpointing import activation_checkpointing
from trainers.config import TrialConfig
from trainers.errors import AnalysisError, ConfigError, OwnCodeError
from trainers.initial_model import initial_network
from trainers.models.grids import ModelGrids, grids_of
from trainers.models.model import Model
from trainers.own_code.facts import ModelFacts
from trainers.own_code.loading import called
from trainers.own_code.network import require_copies
from trainers.own_code.python_object import own_modules_of
from trainers.tasks.task import Task

_NUM_CLASSES = 10
"""The head's size is noise in what a pass costs."""


def facts_of(model: Model) -> ModelFacts:
    """Floating-point operations and grids of a model.

    Raises:
        OwnCodeError: it can't be built, or does not fit.
    """
    counter = FlopCounterMode(display=False)
    no_grids, grids = None, ModelGrids((), ())
    # A trial under way may ask, too.
    with torch.random.fork_rng(devices=()):
        network = model.build(_NUM_CLASSES).eval()
        image = torch.zeros(1, 3, model.input_size_px, model.input_size_px)
        with torch.no_grad(), counter:
            called(network, f"{model.label} can't see one image {list(image.shape)}", image)
        try:
            grids = grids_of(network, model.input_size_px)
        except AnalysisError as error:
            no_grids = str(error).replace("timm's ", "", 1)
    return ModelFacts(
        forward_flops_per_image=float(counter.get_total_flops()),
        features=grids.features,
        attention=grids.attention,
        no_grids=no_grids,
    )


def try_trial(config: TrialConfig, data_root: Path | None) -> None:
    """Build a trial's network, copy it, and take the gradient of the loss of one batch.

    Raises:
        OwnCodeError: says what does not fit.
    """
    if not config.task.is_whole_model:
        raise OwnCodeError(
            f"own code is asked for classification only, and the task is {config.task.kind}: take classification, or a "
            "kind of sigmalab's own"
        )
    names = [str(number) for number in range(_NUM_CLASSES)]
    try:
        network = initial_network(config, names, data_root)
    except OwnCodeError:
        raise
    except ConfigError as error:
        raise OwnCodeError(str(error)) from error
    if any(True for _ in own_modules_of(config.model)):
        require_copies(config.model.label, network)
        # Kept for the plan, which asks for them next.
        config.model.forward_flops_per_image()
    try:
        with activation_checkpointing(config.task.backbone(network), config.optimization):
            _try_loss(config, network)
    except OwnCodeError:
        raise
    except ConfigError as error:
        raise OwnCodeError(str(error)) from error


def _try_loss(config: TrialConfig, network: torch.nn.Module) -> None:
    task: Task = config.task
    side = config.model.input_size_px
    images, labels = torch.zeros(2, 3, side, side), torch.tensor([0, 1])

    def step() -> None:
        # Batch norm needs more than one value per channel, and says so where it has not.
        loss = task.loss(task.outputs(network.train(), images, labels), labels)
        loss.backward()  # type: ignore[no-untyped-call]

    called(step, f"{config.model.label} can't be trained on a batch")
    if not any(parameter.grad is not None for parameter in network.parameters()):
        raise OwnCodeError(f"the loss of {config.model.label} moves none of its parameters")
