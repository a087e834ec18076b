"""Images, splits and loaders. A data set is one file here and one line in `DatasetConfig`."""

from trainers.data.augmentation import AugmentationConfig, CropFlipAugmentation, NoAugmentation
from trainers.data.digits import DigitsConfig
from trainers.data.folder import FolderConfig
from trainers.data.manifest_set import ManifestConfig

DatasetConfig = DigitsConfig | FolderConfig | ManifestConfig

__all__ = [
    "AugmentationConfig",
    "CropFlipAugmentation",
    "DatasetConfig",
    "DigitsConfig",
    "FolderConfig",
    "ManifestConfig",
    "NoAugmentation",
]
