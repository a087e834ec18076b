"""Mixes the batches of one rank: the same mixtures in every arm."""

from timm.data.mixup import Mixup
from torch import Tensor

from trainers.seeding import Stream, derive_seed, seeded_libraries


class BatchMixing:
    """Mixes batches by numbers that depend on (seed, epoch, micro-batch, rank) and on nothing else."""

    def __init__(self, mixup: Mixup, *, seed: int, rank: int) -> None:
        """Wrap timm's mixer, which draws from numpy's global generator."""
        self._mixup, self._seed, self._rank = mixup, seed, rank

    def __call__(self, images: Tensor, labels: Tensor, *, epoch: int, micro_batch: int) -> tuple[Tensor, Tensor]:
        """Mixed images and their targets.

        Args:
            images: [B, 3, S, S] float, B even; they are overwritten.
            labels: [B] int64.
            epoch: from 0.
            micro_batch: its number in the epoch, from 0.

        Returns:
            [B, 3, S, S], and [B, K] float32 whose rows add up to 1.
        """
        with seeded_libraries(derive_seed(self._seed, Stream.MIXING, epoch, micro_batch, self._rank)):
            mixed: tuple[Tensor, Tensor] = self._mixup(images, labels)
        return mixed
