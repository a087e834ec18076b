"""Tries the user's own code on one batch, in the process that imports it."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from trainers.activation_checkpointing import activation_checkpointing
from trainers.config import TrialConfig
from trainers.data.augmentation import NoAugmentation
from trainers.errors import AnalysisError, ConfigError, DataError, OwnCodeError
from trainers.initial_model import initial_network
from trainers.models.bias import NoBias
from trainers.models.grids import ModelGrids, grids_of
from trainers.models.model import Model
from trainers.own_code.change import require_a_change
from trainers.own_code.criterion import try_criterion
from trainers.own_code.facts import ModelFacts
from trainers.own_code.loading import called
from trainers.own_code.network import require_copies
from trainers.own_code.optimizer import try_optimizer
from trainers.own_code.python_object import objects_in, own_modules_of
from trainers.seeding import seed_weights
from trainers.strict import StrictModel
from trainers.tasks.task import Task

_NUM_CLASSES = 10
"""The head's size is noise in what a pass costs."""
_CPU, _MIXED_PX = torch.device("cpu"), 8
_SIZES_PX, _ORANGE = ((72, 64), (64, 72)), (255, 128, 0)


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


def try_trial(config: TrialConfig, data_root: Path | None, num_classes: int | None = None) -> None:
    """Try a trial's own code, each part of it on what it will be given.

    A network and its bias take the gradient of the loss of one batch, a loss that of made-up logits.

    Args:
        config: the trial's.
        data_root: where relative paths start.
        num_classes: of its data (`None`: they are asked, if the loss is one's own).

    Raises:
        OwnCodeError: says what does not fit.
    """
    if not config.task.is_whole_model and (_is_own(config.model) or _is_own(config.attention_bias)):
        raise OwnCodeError(
            f"own models and changes are asked for classification only, and the task is {config.task.kind}: take "
            "classification, or a kind of sigmalab's own"
        )
    if _is_own(config.task):
        with _blamed("task"):
            names = _class_names(config, data_root, num_classes)
            task: Task = config.task
            try_criterion(task.criterion(names, _CPU), len(names), _labels(config, names))
    if _is_own(config.model):
        with _blamed("model"):
            # Of a change of the user's own the model is not to blame.
            plain = config.model_copy(update={"attention_bias": NoBias()}) if _is_own(config.attention_bias) else config
            _try_network(plain, data_root, _numbers(num_classes or _NUM_CLASSES))
    if _is_own(config.attention_bias):
        with _blamed("attention_bias"):
            _try_change(config)
    if _is_own(config.optimization):
        with _blamed("optimization"):
            optimizer = config.optimization.optimizer
            try_optimizer(optimizer, next(objects_in(optimizer)).target)
    if _is_own(config.augmentation):
        with _blamed("augmentation"):
            _try_augmentation(config)


@contextmanager
def _blamed(field: str) -> Iterator[None]:
    """Whatever does not fit here is the fault of what a field of the config names."""
    try:
        yield
    except ConfigError as error:
        raise OwnCodeError(str(error), field=field) from error


def _is_own(part: StrictModel) -> bool:
    return any(True for _ in own_modules_of(part))


def _class_names(config: TrialConfig, data_root: Path | None, num_classes: int | None) -> Sequence[str]:
    """Those of the data, or as many: a loss may have a weight for each."""
    if num_classes is not None:
        return _numbers(num_classes)
    try:
        return config.dataset.load(
            data_root, input_size_px=config.model.input_size_px, augmentation=NoAugmentation(), seed=0
        ).class_names
    except DataError:
        # Said elsewhere, or not here yet.
        return _numbers(_NUM_CLASSES)


def _numbers(num_classes: int) -> list[str]:
    return [str(number) for number in range(num_classes)]


def _labels(config: TrialConfig, names: Sequence[str]) -> torch.Tensor:
    """Of two images, mixed if the trial mixes."""
    labels = torch.tensor([0, min(1, len(names) - 1)])
    mix = config.task.preparation(config.mixing, names, micro_batch_size=len(labels), seed=0, rank=0)
    if mix is None:
        return labels
    mixed = mix(torch.zeros(len(labels), 3, _MIXED_PX, _MIXED_PX), labels, epoch=0, micro_batch=0)[1]
    assert isinstance(mixed, torch.Tensor)
    return mixed


def _try_network(config: TrialConfig, data_root: Path | None, names: Sequence[str]) -> None:
    network = initial_network(config, names, data_root)
    require_copies(config.model.label, network)
    # Kept for the plan, which asks for them next.
    config.model.forward_flops_per_image()
    with activation_checkpointing(config.task.backbone(network), config.optimization):
        _try_loss(config, network, names)


def _try_change(config: TrialConfig) -> None:
    seed_weights(config.seed)
    plain = config.model.build_fresh(_NUM_CLASSES)
    changed = copy.deepcopy(plain)
    config.attention_bias.attach(changed)
    label = config.attention_bias.description(is_trained=True)
    require_a_change(label, plain, changed, config.model.input_size_px)
    require_copies(f"the network after its {label}", changed)


def _try_augmentation(config: TrialConfig) -> None:
    transform = config.augmentation.build(input_size_px=config.model.input_size_px, seed=config.seed)
    assert transform is not None
    try:
        for size in _SIZES_PX:
            transform(Image.new("RGB", size, _ORANGE), index=0)
    except DataError as error:
        raise OwnCodeError(str(error)) from error


def _try_loss(config: TrialConfig, network: torch.nn.Module, names: Sequence[str]) -> None:
    task: Task = config.task
    side = config.model.input_size_px
    images, labels = torch.zeros(2, 3, side, side), _labels(config, names)
    criterion = task.criterion(names, _CPU)

    def step() -> None:
        # Batch norm needs more than one value per channel, and says so where it has not.
        loss = criterion(task.outputs(network.train(), images, labels), labels)
        loss.backward()  # type: ignore[no-untyped-call]

    called(step, f"{config.model.label} can't be trained on a batch")
    if not any(parameter.grad is not None for parameter in network.parameters()):
        raise OwnCodeError(f"the loss of {config.model.label} moves none of its parameters")
