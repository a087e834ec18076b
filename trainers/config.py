"""All that may change a trial's numbers: the trial's config, and from it the trial's identity."""

import hashlib
from typing import Annotated

from pydantic import BaseModel, Field

from trainers.analyses.configs import Analyses
from trainers.data import AugmentationConfig, DatasetConfig, NoAugmentation
from trainers.data.normalization import NormalizationName
from trainers.mixing import MixingConfig, NoMixing
from trainers.models import AttentionBiasConfig, ModelConfig, NoBias
from trainers.optimization import OptimizationConfig
from trainers.strict import StrictModel
from trainers.tasks import ClassificationConfig, TaskConfig


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
    score_test: bool = True
    """Whether the test split is scored at the best validation epoch (search trials never do)."""


def canonical_json(value: BaseModel) -> str:
    """One JSON text for one value: every default written out, keys in the order of declaration."""
    return value.model_dump_json()


def trial_identity(config: TrialConfig, *, code_version: str, data_fingerprint: str) -> str:
    """Name of a trial: 20 hex digits over all that may change its numbers.

    Args:
        config: the trial's config.
        code_version: see `trainers.version.code_version`.
        data_fingerprint: see `DatasetConfig.fingerprint`.
    """
    text = "\n".join((canonical_json(config), code_version, data_fingerprint))
    return hashlib.sha256(text.encode()).hexdigest()[:20]
