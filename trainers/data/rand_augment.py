"""RandAugment and random erasing, by timm."""

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from trainers.data.augmentation import Augmentation

if TYPE_CHECKING:
    from trainers.data.seeded_transform import SeededTransform

MAX_MAGNITUDE = 10
_NUMBER = r"\d+(?:\.\d+)?"
_SECTIONS = {"m": r"\d+", "n": "[1-9]", "p": _NUMBER, "mstd": _NUMBER, "mmax": r"\d+", "inc": "[01]", "t": "weights"}
_MEANINGS = (
    "m<magnitude>, n<operations per image>, p<probability of each>, mstd<deviation of the magnitude>, "
    "mmax<largest magnitude>, inc<0 or 1: harder with the magnitude>, tweights"
)


class RandAugmentation(Augmentation):
    """Random resized crop, flip, RandAugment (arXiv 1909.13719), random erasing (arXiv 1708.04896)."""

    kind: Literal["rand_augment"] = "rand_augment"
    policy: str = "rand-m9-mstd0.5-inc1"
    """timm's text for RandAugment: `rand`, then sections joined by `-`."""
    min_scale_fraction: float = Field(default=0.08, gt=0, le=1)
    """Smallest share of the image's area that a crop keeps."""
    flip_probability: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    erasing_probability: float = Field(default=0.25, ge=0, le=1)
    """Probability that a rectangle of 2 % to 33 % of the image takes ImageNet's mean colour."""

    @field_validator("policy")
    @classmethod
    def _policy_is_known(cls, policy: str) -> str:
        # timm passes over a section that it can't read, or fails with a bare assertion.
        name, *sections = policy.split("-")
        if name != "rand":
            raise ValueError(f"{policy!r} does not begin with `rand`; valid is rand-<section>-..., with {_MEANINGS}")
        found: dict[str, str] = {}
        for section in sections:
            match = re.fullmatch(r"(mstd|mmax|inc|m|n|p|t)(.+)", section)
            if match is None or not re.fullmatch(_SECTIONS[match[1]], match[2]):
                raise ValueError(f"{policy!r} has the unknown section {section!r}; valid are {_MEANINGS}")
            if match[1] in found:
                raise ValueError(f"{policy!r} has two sections `{match[1]}`")
            found[match[1]] = match[2]
        largest = int(found.get("mmax", MAX_MAGNITUDE))
        if int(found.get("m", largest)) > largest:
            raise ValueError(f"{policy!r} asks for magnitude {found['m']}, and {largest} is the largest; see mmax")
        if float(found.get("p", 0.5)) > 1:
            raise ValueError(f"{policy!r} has the probability {found['p']}, which is above 1")
        return policy

    def build(self, *, input_size_px: int, seed: int) -> "SeededTransform":
        """The transform, for PIL images and for float tensors in [0, 1], to S x S pixels.

        Args:
            input_size_px: side S of the model's input.
            seed: the trial's seed.
        """
        from torchvision.transforms import v2

        from trainers.data.seeded_transform import SeededTransform
        from trainers.data.timm_augment import rand_augment, random_erasing

        steps = [
            v2.RandomResizedCrop(
                input_size_px,
                scale=(self.min_scale_fraction, 1.0),
                interpolation=v2.InterpolationMode.BICUBIC,
                antialias=True,
            ),
            v2.RandomHorizontalFlip(self.flip_probability),
            rand_augment(self.policy, input_size_px),
        ]
        if self.erasing_probability > 0:
            steps.append(random_erasing(self.erasing_probability))
        return SeededTransform(v2.Compose(steps), seed=seed)
