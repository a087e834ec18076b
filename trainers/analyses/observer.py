"""What looks at a trial under way."""

from pathlib import Path

from torch import nn

from trainers.result import FieldRemark


class Observer:
    """Life: `before` with the initial weights, `during` after each epoch, `after` with the scored weights, `save`.

    Where nothing is trained there is no `before`: the scored weights are the initial ones. A resumed trial builds its
    initial weights from the seed again, so `before` must give the same numbers again. Nothing here may move a random
    number of the training.
    """

    def before(self, model: nn.Module) -> None:
        """Look at the initial weights."""

    def during(self, model: nn.Module, epoch: int) -> dict[str, float]:
        """Metrics after an epoch (from 0); empty where none is due."""
        return {}

    def after(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the scored weights, and of the initial ones."""
        return {}

    @property
    def remarks(self) -> tuple[FieldRemark, ...]:
        """What a reader must know of what was found."""
        return ()

    def save(self, folder: Path) -> None:
        """Write what was found into the trial's folder."""
