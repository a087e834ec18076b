"""All that may change a trial's numbers: the trial's config, and from it the trial's identity."""

import hashlib
from typing import Annotated

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from trainers.data.normalization import NormalizationName
from trainers.kinds import (
    Analyses,
    AttentionBiasConfig,
    AugmentationConfig,
    ClassificationConfig,
    DatasetConfig,
    MixingConfig,
    ModelConfig,
    NoAugmentation,
    NoBias,
    NoMixing,
    TaskConfig,
)
from trainers.optimization.recipe import OptimizationConfig
from trainers.strict import StrictModel
from trainers.tasks.task import Task

_TARGETS = {
    "class": "a class of each image",
    "mask": "a mask of each image",
    "objects": "the objects of each image",
    "command": "what a command reads",
}
OWN_AFFAIRS = ("attention_bias", "augmentation", "mixing", "normalization", "optimization", "analyses")
"""Fields of a trial that a program of the user's own decides by itself: nobody reads them there."""


class TrialConfig(StrictModel):
    """One training, whole: the same config on the same data and code gives the same numbers, on equal hardware.

    Bit for bit on a CPU with the same number of threads; on a GPU up to rounding, which training enlarges, unless
    `optimization.deterministic` is set.

    With `optimization.epochs` 0 it only looks: the weights that a training would start from are scored and analysed.
    """

    task: Annotated[TaskConfig, Field(discriminator="kind")] = ClassificationConfig()
    """What is learned and how it is scored."""
    model: Annotated[ModelConfig, Field(discriminator="kind")]
    """The network, without its attention bias."""
    attention_bias: Annotated[AttentionBiasConfig, Field(discriminator="kind")] = NoBias()
    """What is added to the attention logits of every layer."""
    dataset: Annotated[DatasetConfig, Field(discriminator="kind")]
    """Images, labels and their training, validation and test splits."""
    augmentation: Annotated[AugmentationConfig, Field(discriminator="kind")] = NoAugmentation()
    """Random changes to the training images, the same stream in every arm."""
    mixing: Annotated[MixingConfig, Field(discriminator="kind")] = NoMixing()
    """Whether images of a batch are mixed with each other, the same pairs and shares in every arm."""
    normalization: NormalizationName = "model"
    """Mean and standard deviation that images are normalised with: `model` (what its weights expect), or `imagenet`.
    With `model`, images that are scored are also resized and cropped as timm publishes the weights (`vit_relpos_*` and
    `beit_*`: the middle 0.9, bicubic); else, and for models without published weights, the middle 0.875, bicubic."""
    optimization: OptimizationConfig = OptimizationConfig()
    """Optimizer, schedule, epochs, batch size, precision."""
    analyses: Analyses = ()
    """What is looked at before, during and after training; it moves no number of the training."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Makes the replicate: initial weights, data order and augmentation stream."""
    replica: int = Field(default=0, ge=0, lt=2**31, exclude_if=lambda value: value == 0)
    """Which training of this very config it is: another number names another trial, and changes none of its numbers
    (`sigmalab run --null` trains the control again so)."""
    score_test: bool = True
    """Whether the test split is scored at the best validation epoch (search trials never do)."""

    @property
    def unread_fields(self) -> frozenset[str]:
        """Fields that decide nothing of this trial, and are not shown: those that a user's own program decides."""
        return frozenset(OWN_AFFAIRS) if self.task.runs_itself else frozenset()

    # Each complaint stands at the field that has to give way: that of an experiment points at who wrote it, once.
    @field_validator("model")
    @classmethod
    def _command_is_scored_by_what_it_writes(cls, model: ModelConfig, info: ValidationInfo) -> ModelConfig:
        task: Task | None = info.data.get("task")
        if task is not None and model.runs_itself and not task.runs_itself:
            raise ValueError(
                f"a command trains and scores by itself, and the task is {task.kind}: take the task command, which "
                "says where its numbers are"
            )
        if task is not None and task.runs_itself and not model.runs_itself:
            raise ValueError(
                f"the task command reads what a command writes, and the model {model.kind} is trained here: take a "
                "model of the kind command, or another task"
            )
        return model

    @field_validator(*OWN_AFFAIRS)
    @classmethod
    def _command_decides_by_itself(cls, value: object, info: ValidationInfo) -> object:
        task: Task | None = info.data.get("task")
        if task is not None and task.runs_itself and value != cls.model_fields[str(info.field_name)].default:
            raise ValueError(
                f"a command trains by itself, and nothing of `{info.field_name}` would reach it: leave it out, and "
                "give the command an argument"
            )
        return value

    @field_validator("dataset")
    @classmethod
    def _data_say_what_the_task_learns(cls, dataset: DatasetConfig, info: ValidationInfo) -> DatasetConfig:
        task: Task | None = info.data.get("task")
        if task is not None and dataset.targets != task.targets:
            raise ValueError(
                f"the task {task.kind} learns {_TARGETS[task.targets]}, and the data set {dataset.kind} has "
                f"{_TARGETS[dataset.targets]}; take another task, or a data set with {_TARGETS[task.targets]}"
            )
        return dataset

    @field_validator("augmentation")
    @classmethod
    def _masks_move_with_their_images(
        cls, augmentation: AugmentationConfig, info: ValidationInfo
    ) -> AugmentationConfig:
        task: Task | None = info.data.get("task")
        if task is not None and task.targets != "class" and not augmentation.moves_masks:
            raise ValueError(
                f"the augmentation {augmentation.kind} moves images without their masks; take crop_flip, scale_crop or "
                "none"
            )
        if task is not None and augmentation.varies_size and not (task.targets == "objects" and task.sees_any_size):
            raise ValueError(
                f"the augmentation {augmentation.kind} makes images of several sizes, and the task {task.kind} is "
                "trained on squares here; take scale_crop, or detection with the view short_side"
            )
        return augmentation

    @field_validator("mixing")
    @classmethod
    def _mixes_what_its_task_mixes(cls, mixing: MixingConfig, info: ValidationInfo) -> MixingConfig:
        task: Task | None = info.data.get("task")
        if task is not None and not task.mixes and mixing.mixed_together > 1:
            raise ValueError(f"mixing is {mixing.kind}, and the task {task.kind} mixes no images; leave mixing out")
        return mixing


def canonical_json(value: BaseModel) -> str:
    """One JSON text for one value: every default written out, keys in the order of declaration."""
    return value.model_dump_json()


def trial_identity(config: TrialConfig, *, code_version: str, data_fingerprint: str) -> str:
    """Name of a trial: 20 hex digits over all that may change its numbers.

    Args:
        config: the trial's config.
        code_version: of this config, see `trainers.version.used_code`.
        data_fingerprint: see `DatasetConfig.fingerprint`.
    """
    text = "\n".join((canonical_json(config), code_version, data_fingerprint))
    return hashlib.sha256(text.encode()).hexdigest()[:20]
