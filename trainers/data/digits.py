"""scikit-learn's handwritten digits: 1,797 real 8x8 images that need no download."""

from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel


class DigitsConfig(StrictModel):
    """Real digits, upsampled to the model's image size; the split is drawn once, stratified by class."""

    kind: Literal["digits"] = "digits"
    num_train: int = Field(default=300, ge=10, le=1000)
    """Training images."""
    num_val: int = Field(default=300, ge=10, le=300)
    """Validation images (choose the epoch and, in a search, the params)."""
    num_test: int = Field(default=497, ge=10, le=497)
    """Test images (scored once)."""
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    """Which images go into which split; validation and test do not depend on `num_train`."""
