"""Everything that can be chosen by `kind`: the one place that knows all kinds, each in a file of its own.

A kind is one file, and its name in an import and a union here. Whatever uses a kind knows its base class (`Dataset`,
`Model`, `AttentionBias`, ...) and asks that; only configs name the unions below. `trainers.version` does not follow the
imports of this file, so a new kind changes no other trial's identity: a config takes even its defaults from here.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from trainers.analyses.analysis import one_of_each
from trainers.analyses.learned_bias_in_trial import LearnedBiasAnalysis
from trainers.analyses.receptive_field_in_trial import ReceptiveFieldAnalysis
from trainers.command.dataset import CommandDataset
from trainers.command.model import CommandModel
from trainers.command.task import CommandTask
from trainers.data.augmentation import NoAugmentation
from trainers.data.coco_format import CocoFormatConfig
from trainers.data.crop_flip import CropFlipAugmentation
from trainers.data.digits import DigitsConfig
from trainers.data.folder import FolderConfig
from trainers.data.manifest_set import ManifestConfig
from trainers.data.mask_folder import MaskFolderConfig
from trainers.data.multi_scale import MultiScaleAugmentation
from trainers.data.neighbor_texture import NeighborTextureConfig
from trainers.data.paper_augmentation import PaperAugmentation
from trainers.data.python_augmentation import PythonAugmentation
from trainers.data.python_dataset import PythonDataset
from trainers.data.rand_augment import RandAugmentation
from trainers.data.scale_crop import ScaleCropAugmentation
from trainers.data.shapes import ShapesConfig
from trainers.data.shapes_objects import ShapesObjectsConfig
from trainers.models.bias import NoBias
from trainers.models.gaussian import GaussianBias, PermutedGaussianBias, StoredGaussianBias
from trainers.models.python_bias import PythonBias
from trainers.models.python_model import PythonModel
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_model import TimmConfig
from trainers.optimization.adamw import AdamWConfig
from trainers.optimization.python_optimizer import PythonOptimizer
from trainers.optimization.sgd import SgdConfig
from trainers.optimization.timm_optimizer import TimmOptimizerConfig
from trainers.tasks.classification.losses import LossConfig
from trainers.tasks.classification.mixing import NoMixing
from trainers.tasks.classification.mixup import MixupMixing
from trainers.tasks.classification.task import ClassificationConfig
from trainers.tasks.detection.task import DetectionConfig
from trainers.tasks.segmentation.task import SegmentationConfig

__all__ = [
    "ANALYSES",
    "TASKS",
    "AdamWConfig",
    "Analyses",
    "AnalysisConfig",
    "AttentionBiasConfig",
    "AugmentationConfig",
    "ClassificationConfig",
    "DatasetConfig",
    "LossConfig",
    "MixingConfig",
    "ModelConfig",
    "NoAugmentation",
    "NoBias",
    "NoMixing",
    "OptimizerConfig",
    "TaskConfig",
]
"""The unions, and the kinds that a config takes where a user names none."""

TASKS = (ClassificationConfig, CommandTask, DetectionConfig, SegmentationConfig)
TaskConfig = ClassificationConfig | CommandTask | DetectionConfig | SegmentationConfig

DatasetConfig = (
    CocoFormatConfig
    | CommandDataset
    | DigitsConfig
    | FolderConfig
    | ManifestConfig
    | MaskFolderConfig
    | NeighborTextureConfig
    | PythonDataset
    | ShapesConfig
    | ShapesObjectsConfig
)
AugmentationConfig = (
    NoAugmentation
    | CropFlipAugmentation
    | MultiScaleAugmentation
    | PaperAugmentation
    | PythonAugmentation
    | RandAugmentation
    | ScaleCropAugmentation
)

MixingConfig = NoMixing | MixupMixing

ModelConfig = CommandModel | PythonModel | SmallVitConfig | TimmConfig
AttentionBiasConfig = NoBias | GaussianBias | PermutedGaussianBias | StoredGaussianBias | PythonBias

OptimizerConfig = SgdConfig | AdamWConfig | PythonOptimizer | TimmOptimizerConfig

ANALYSES = (ReceptiveFieldAnalysis, LearnedBiasAnalysis)
AnalysisConfig = Annotated[ReceptiveFieldAnalysis | LearnedBiasAnalysis, Field(discriminator="kind")]
Analyses = Annotated[tuple[AnalysisConfig, ...], AfterValidator(one_of_each)]
"""What a trial is asked beside its training."""
