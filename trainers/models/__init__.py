"""Networks and their attention bias.

A kind of model is one file here and one line in `ModelConfig`; a family of timm's models is one file in `families`.
"""

from trainers.models.bias import AttentionBiasConfig, GaussianBias, NoBias, PermutedGaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_model import TimmConfig
from trainers.models.weights_file import WeightsFile

ModelConfig = SmallVitConfig | TimmConfig

__all__ = [
    "AttentionBiasConfig",
    "GaussianBias",
    "ModelConfig",
    "NoBias",
    "PermutedGaussianBias",
    "SmallVitConfig",
    "TimmConfig",
    "WeightsFile",
]
