"""From stored pixels to what a model expects."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NormalizationName = Literal["model", "imagenet"]
"""Which mean and standard deviation of each channel: the model's own (timm's), or ImageNet's."""

Channels = tuple[float, float, float]


def statistics(name: NormalizationName, *, mean: Channels, std: Channels) -> tuple[Channels, Channels]:
    """Mean and standard deviation that a config names, where the model's own are these."""
    if name == "model":
        return mean, std
    from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    return IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD


class Normalization:
    """Subtracts each channel's mean and divides by its standard deviation, on the device where the images are.

    Loader processes hand images over as bytes: a quarter of the memory traffic between processes and to a GPU.
    """

    def __init__(self, mean: Channels, std: Channels, device: "torch.device | None" = None) -> None:
        """Keep the statistics, of images in [0, 1], on a device (`None`: the CPU)."""
        import torch

        self._mean = torch.tensor(mean, device=device).view(3, 1, 1)
        self._std = torch.tensor(std, device=device).view(3, 1, 1)

    @classmethod
    def choose(
        cls, name: NormalizationName, *, mean: Channels, std: Channels, device: "torch.device | None" = None
    ) -> "Normalization":
        """The normalisation that a config names.

        Args:
            name: whose statistics.
            mean: the model's.
            std: the model's.
            device: where images will be.
        """
        return cls(*statistics(name, mean=mean, std=std), device)

    def __call__(self, images: "Tensor") -> "Tensor":
        """Images [B, 1 or 3, S, S], uint8 or float in [0, 1], as new normalised float32 [B, 3, S, S]."""
        import torch

        if images.dtype == torch.uint8:
            images = images.to(torch.float32) / 255
        return (images - self._mean) / self._std
