"""Image classification: cross-entropy, top-1, top-5."""

from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel


class ClassificationConfig(StrictModel):
    """One label per image."""

    kind: Literal["classification"] = "classification"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Label smoothing of the training loss."""
