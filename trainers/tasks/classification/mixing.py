"""Mixing the images of a batch, and their labels: the same mixtures in every arm."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from trainers.strict import StrictModel

if TYPE_CHECKING:
    from trainers.tasks.classification.batch_mixing import BatchMixing


class Mixing(StrictModel, ABC):
    """How the images of a batch are mixed with each other."""

    mixed_together: ClassVar[int] = 1
    """So many images become a mixture: a batch is a multiple of it."""

    @abstractmethod
    def build(self, *, num_classes: int, micro_batch_size: int, seed: int, rank: int) -> "BatchMixing | None":
        """The mixer of one rank (`None`: nothing is mixed).

        Args:
            num_classes: K of the targets.
            micro_batch_size: images of one forward pass on one rank.
            seed: the trial's.
            rank: of this process.

        Raises:
            ConfigError: batches of this size can't be mixed.
        """


class NoMixing(Mixing):
    """Every image is learned by itself."""

    kind: Literal["none"] = "none"

    def build(self, *, num_classes: int, micro_batch_size: int, seed: int, rank: int) -> None:
        """No mixing."""
