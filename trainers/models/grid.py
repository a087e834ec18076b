"""The grid of patch tokens that a ViT sees."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MAX_PATCH_TOKENS = 4096
"""Attention and its bias hold tokens x tokens numbers per head: 64 MiB for one head and image at this limit."""


@dataclass(frozen=True)
class TokenGrid:
    """`height` x `width` patch tokens in row-major order, after `num_prefix_tokens` class or register tokens."""

    height: int
    width: int
    num_prefix_tokens: int = 0

    @property
    def num_patch_tokens(self) -> int:
        """H*W."""
        return self.height * self.width

    @property
    def num_tokens(self) -> int:
        """N, the length of the sequence: prefix + H*W."""
        return self.num_prefix_tokens + self.num_patch_tokens

    def squared_distances(self) -> "torch.Tensor":
        """Squared distance of every pair of patch tokens, in tokens^2: [H*W, H*W], fp32, on the CPU."""
        import torch

        index = torch.arange(self.num_patch_tokens, device="cpu")
        row, column = index // self.width, index % self.width
        squares = (row[:, None] - row[None, :]).square() + (column[:, None] - column[None, :]).square()
        return squares.to(torch.float32)


def check_image_size(image_size_px: int, patch_size_px: int, *, is_windowed: bool = False) -> None:
    """Refuse an image side that can't be cut into patches.

    Args:
        image_size_px: side of the image.
        patch_size_px: side of a patch.
        is_windowed: whether attention stays inside windows; then any number of patches will do.

    Raises:
        ValueError: the side is not a multiple of the patch, or makes more than `MAX_PATCH_TOKENS` tokens.
    """
    side, rest = divmod(image_size_px, patch_size_px)
    if rest or not side:
        nearest = max(side, 1) * patch_size_px
        raise ValueError(
            f"image_size_px {image_size_px} is not a multiple of the patch size {patch_size_px} px; "
            f"the nearest that fit are {nearest} and {nearest + patch_size_px}"
        )
    if side**2 > MAX_PATCH_TOKENS and not is_windowed:
        raise ValueError(
            f"image_size_px {image_size_px} with patches of {patch_size_px} px makes {side**2} tokens; "
            f"at most {MAX_PATCH_TOKENS} are allowed: a larger patch or a smaller image is needed"
        )
