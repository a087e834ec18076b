"""A small ViT in plain torch, whose stem is the change in question."""

import torch
from torch import Tensor, nn


class MyViT(nn.Module):
    """Images [B, 3, px, px] to logits [B, num_classes]."""

    def __init__(self, num_classes: int, stem: str = "patches", width: int = 48, depth: int = 2, px: int = 16) -> None:
        super().__init__()
        if stem == "patches":
            self.stem: nn.Module = nn.Conv2d(3, width, kernel_size=4, stride=4)
        elif stem == "convolutions":
            self.stem = nn.Sequential(
                nn.Conv2d(3, width // 2, kernel_size=3, stride=2, padding=1),
                nn.GELU(),
                nn.Conv2d(width // 2, width, kernel_size=3, stride=2, padding=1),
            )
        else:
            raise ValueError(f"the stem is patches or convolutions, not {stem}")
        self.position = nn.Parameter(0.02 * torch.randn(1, (px // 4) ** 2, width))
        block = nn.TransformerEncoderLayer(width, nhead=3, dim_feedforward=4 * width, dropout=0.0, batch_first=True)
        self.blocks = nn.TransformerEncoder(block, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        tokens = self.stem(images).flatten(2).transpose(1, 2) + self.position
        return self.head(self.blocks(tokens).mean(dim=1))
