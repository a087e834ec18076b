"""What is added to the attention logits of one layer, as a module of the network."""

from abc import ABC, abstractmethod

import torch
from torch import nn

from trainers.models.grid import TokenGrid


class AttachedBias(nn.Module, ABC):
    """One layer's bias (the whole model's where layers share their position bias), built by an `AttentionBias`.

    It lies in the module that adds it, as the child `gaussian`, whatever kind it is: the name is part of the names of
    stored weights. It draws no random number from torch's global generator. Its parameters get no weight decay and a
    learning rate of their own.
    """

    grid: TokenGrid
    num_tokens: int
    """N, the length of the sequence that it was made for."""
    num_prefix_tokens: int
    """Tokens before those of the grid."""
    per_head: bool
    """Whether each head has its own."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """Of the config that it was built from."""

    def set_grid(self, grid: TokenGrid) -> None:
        """Lie over another grid; what is learned stays."""
        # Plain attributes beside the grid: torch.compile traces what reads them.
        self.grid, self.num_prefix_tokens, self.num_tokens = grid, grid.num_prefix_tokens, grid.num_tokens

    @abstractmethod
    def scalars(self) -> dict[str, torch.Tensor]:
        """What is watched over the training: name -> [h]; h = 1 if all heads share it."""

    @abstractmethod
    def silence(self) -> None:
        """Make it add nothing, in place; without gradients."""

    @abstractmethod
    def forward(self) -> torch.Tensor:
        """The bias in fp32: [h, N, N], zero for every pair with a prefix token; h = 1 where all heads share it."""
