"""A change of the network by the user's own code: an attention bias, another position embedding, any other."""

import json
from typing import TYPE_CHECKING, ClassVar, Literal

from trainers.models.bias import AttentionBias
from trainers.models.grid import TokenGrid
from trainers.own_code.place import is_running
from trainers.own_code.python_object import PythonObject

if TYPE_CHECKING:
    import torch
    from torch import nn

    from trainers.models.attached_bias import AttachedBias


class PythonBias(AttentionBias, PythonObject):
    """An `AttentionBias` of the user's own, or a function that changes the built network in place.

    A function (or a class whose objects are called like one) gets the network of timm or of `models`, and returns
    nothing or the same network. What it draws moves no other random number, so that both arms of a pair start from the
    same weights wherever it leaves them.
    """

    words: ClassVar[str] = "own change"
    needs_attention: ClassVar[bool] = False

    kind: Literal["python"] = "python"

    __hash__ = PythonObject.__hash__

    @property
    def lr_factor(self) -> float:
        """That of an `AttentionBias` of the user's own; of a function's parameters 1."""
        if not is_running():
            return 1.0
        from trainers.own_code.change import own_bias

        bias = own_bias(self)
        return 1.0 if bias is None else bias.lr_factor

    def description(self, *, is_trained: bool) -> str:
        """`own change by mylab.bias:add, slope 0.5`."""
        arguments = [f"{name} {json.dumps(value).strip(chr(34))}" for name, value in self.arguments.items()]
        return ", ".join([f"{self.words} by {self.target}", *arguments])

    def of_layer(self, grid: TokenGrid, num_heads: int, device: "torch.device") -> "AttachedBias":
        """As an `AttentionBias` of the user's own makes it.

        Raises:
            OwnCodeError: it can't be made, or is a function, which knows no layers.
        """
        from trainers.own_code.change import of_layer

        return of_layer(self, grid, num_heads, device)

    def attach(self, model: "nn.Module") -> None:
        """Change the network in place.

        Raises:
            OwnCodeError: the user's code raises, or returns another network.
            ConfigError: an `AttentionBias` finds no layer that takes it.
        """
        from trainers.own_code.change import change

        change(self, model)
