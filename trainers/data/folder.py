"""Any folder of images: one subfolder per class, or train/val/test trees of such."""

from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel


class FolderConfig(StrictModel):
    """An ImageFolder tree (split by seed), or a folder with `train/`, `val/` and `test/` trees (used as they are)."""

    kind: Literal["folder"] = "folder"
    path: str
    """The folder; a relative path starts at the runtime's data root."""
    val_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of images for validation, where there is no `val/` tree."""
    test_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of images for test, where there is no `test/` tree."""
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    """Which images go into which split."""
