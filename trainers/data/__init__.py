"""Images, splits and loaders. A data set is one file here and one line in `DatasetConfig`."""

from trainers.data.augmentation import AugmentationConfig, CropFlipAugmentation, NoAugmentation, PaperAugmentation
from trainers.data.digits import DigitsConfig
from trainers.data.folder import FolderConfig
from trainers.data.manifest_set import ManifestConfig
from trainers.data.neighbor_texture import NeighborTextureConfig
from trainers.data.rand_augment import RandAugmentation

DatasetConfig = DigitsConfig | FolderConfig | ManifestConfig | NeighborTextureConfig

__all__ = [
    "AugmentationConfig",
    "CropFlipAugmentation",
    "DatasetConfig",
    "DigitsConfig",
    "FolderConfig",
    "ManifestConfig",
    "NeighborTextureConfig",
    "NoAugmentation",
    "PaperAugmentation",
    "RandAugmentation",
]
