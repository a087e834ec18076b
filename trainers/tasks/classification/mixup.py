"""Mixup and CutMix, as timm has them."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainers.errors import ConfigError
from trainers.tasks.classification.mixing import Mixing

if TYPE_CHECKING:
    from trainers.tasks.classification.batch_mixing import BatchMixing


class MixupMixing(Mixing):
    """Mixup, CutMix, or one of the two for each batch, by timm (arXiv 1710.09412, 1905.04899).

    Image i of a batch is mixed with image B - 1 - i. The training loss is then that of mixed labels: it is higher than
    that of whole images, and compares only with trainings that mix alike.
    """

    mixed_together: ClassVar[int] = 2

    kind: Literal["mixup"] = "mixup"
    mixup_alpha: float = Field(default=0.8, ge=0, le=100)
    """Both parameters of the beta distribution of Mixup's share (0: no Mixup)."""
    cutmix_alpha: float = Field(default=1.0, ge=0, le=100)
    """Both parameters of the beta distribution of CutMix's share of the area (0: no CutMix)."""
    probability: float = Field(default=1.0, gt=0, le=1)
    """Probability that a batch is mixed."""
    switch_probability: float = Field(default=0.5, ge=0, le=1)
    """Probability of CutMix instead of Mixup, where neither is off."""

    @model_validator(mode="after")
    def _mixes_at_all(self) -> Self:
        if self.mixup_alpha == 0 and self.cutmix_alpha == 0:
            raise ValueError('mixup_alpha and cutmix_alpha are both 0, so nothing would be mixed; take kind "none"')
        return self

    def build(self, *, num_classes: int, micro_batch_size: int, seed: int, rank: int) -> "BatchMixing":
        """The mixer of one rank.

        Args:
            num_classes: K of the targets.
            micro_batch_size: images of one forward pass on one rank.
            seed: the trial's.
            rank: of this process.

        Raises:
            ConfigError: the batch is odd.
        """
        if micro_batch_size % 2:
            raise ConfigError(
                f"mixing pairs the images of a batch, and {micro_batch_size} (one worker's share of one accumulation "
                f"step) is odd; take a global_batch_size that makes it {micro_batch_size + 1}"
            )
        from timm.data.mixup import Mixup

        from trainers.tasks.classification.batch_mixing import BatchMixing

        mixup = Mixup(  # type: ignore[no-untyped-call]
            mixup_alpha=self.mixup_alpha,
            cutmix_alpha=self.cutmix_alpha,
            prob=self.probability,
            switch_prob=self.switch_probability,
            # The loss smooths; smoothing is linear, so smoothed mixtures are mixtures of smoothed labels.
            label_smoothing=0.0,
            num_classes=num_classes,
        )
        return BatchMixing(mixup, seed=seed, rank=rank)
