"""A network of the user's own: any module that makes logits of images."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainers.errors import AnalysisError
from trainers.models.grids import ModelGrids
from trainers.models.model import Channels, Model
from trainers.own_code.asking import model_facts
from trainers.own_code.python_object import PythonObject

if TYPE_CHECKING:
    from torch import nn


class PythonModel(Model, PythonObject):
    """A class of the user's own (an `nn.Module`), or a function that returns one: [B, 3, px, px] -> [B, num_classes].

    It is called with `num_classes`, if it takes an argument of this name. An attention bias can be added where it
    contains the attention of a family of timm's.
    """

    kind: Literal["python"] = "python"
    image_size_px: int = Field(default=224, ge=8, le=2048)
    """Side of the square images that it is shown."""
    mean: Channels = (0.5, 0.5, 0.5)
    """Mean of each channel that its input is normalised with."""
    std: Channels = (0.5, 0.5, 0.5)
    """Standard deviation of each channel that its input is normalised with."""

    __hash__ = PythonObject.__hash__

    @property
    def label(self) -> str:
        """Short name: that of the class, and its arguments."""
        return self.written_name

    @property
    def architecture(self) -> str:
        """Its target."""
        return self.target

    @property
    def input_size_px(self) -> int:
        """Side of the square input image."""
        return self.image_size_px

    @property
    def input_mean(self) -> Channels:
        """Mean of each channel that the input is normalised with."""
        return self.mean

    @property
    def input_std(self) -> Channels:
        """Standard deviation of each channel that the input is normalised with."""
        return self.std

    @property
    def weights(self) -> None:
        """It starts from no file; what its constructor loads is its own affair."""

    @property
    def no_bias(self) -> str | None:
        """Left to be seen where it is built: a child process tries before anything is planned."""
        return None

    def build(self, num_classes: int, *, position_seed: int = 0, data_root: Path | None = None) -> "nn.Module":
        """The network, as its constructor leaves it.

        Args:
            num_classes: of the head.
            position_seed: not used.
            data_root: not used.

        Raises:
            OwnCodeError: it can't be built, or does not make logits of images.
        """
        from trainers.own_code.network import own_network

        return own_network(self, num_classes, self.image_size_px)

    def build_fresh(self, num_classes: int) -> "nn.Module":
        """As `build`: nothing is done to what its constructor makes."""
        return self.build(num_classes)

    def forward_flops_per_image(self) -> float:
        """Floating-point operations of one image's forward pass, counted in a child process."""
        return model_facts(self).forward_flops_per_image

    def grids(self) -> ModelGrids:
        """Where its tokens lie, layer by layer; found in a child process.

        Raises:
            AnalysisError: its features lie on no grid that is known.
        """
        facts = model_facts(self)
        if facts.no_grids is not None:
            raise AnalysisError(facts.no_grids)
        return ModelGrids(facts.features, facts.attention)
