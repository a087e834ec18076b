"""Networks and their attention bias. A model family is one file here and one line in `ModelConfig`."""

from trainers.models.bias import AttentionBiasConfig, GaussianBias, NoBias, PermutedGaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_vit import TimmVitConfig

ModelConfig = SmallVitConfig | TimmVitConfig

__all__ = [
    "AttentionBiasConfig",
    "GaussianBias",
    "ModelConfig",
    "NoBias",
    "PermutedGaussianBias",
    "SmallVitConfig",
    "TimmVitConfig",
]
