"""The network: what every kind of model answers."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import JsonValue

from trainers.data.scored_view import ModelView
from trainers.errors import ConfigError
from trainers.models.grids import ModelGrids
from trainers.models.weights_file import WeightsFile
from trainers.strict import StrictModel, kind_of

if TYPE_CHECKING:
    from torch import nn

Channels = tuple[float, float, float]
"""A number for each colour."""


class Model(StrictModel, ABC):
    """A network without its attention bias, as a config names it.

    A kind is one file here and one line in `trainers.kinds`; a family of timm's models is one file in `families`.
    Configs are hashable. `trainers.contracts.ModelContract` asks what holds for every kind.
    """

    runs_itself: ClassVar[bool] = False
    """Whether it is a program of the user's own that trains by itself: see `Task.runs_itself`."""

    if TYPE_CHECKING:
        # A field, or a property where it starts from no file: pydantic lets no field take a base's property.
        @property
        def weights(self) -> WeightsFile | None:
            """The file of weights that it starts from (`None`: none)."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Short name for tables and folders, another for every other network."""

    @property
    def architecture(self) -> str:
        """What all networks are called whose weights can be exchanged but for sizes."""
        return kind_of(type(self))

    @property
    @abstractmethod
    def input_size_px(self) -> int:
        """Side of the square input image."""

    @property
    @abstractmethod
    def input_mean(self) -> Channels:
        """Mean of each channel that the input is normalised with."""

    @property
    @abstractmethod
    def input_std(self) -> Channels:
        """Standard deviation of each channel that the input is normalised with."""

    @property
    def published_view(self) -> ModelView | None:
        """The view of scored images that its weights are published with (`None`: images are seen as usual)."""
        return None

    @property
    @abstractmethod
    def no_bias(self) -> str | None:
        """Why no attention bias can be added (`None`: one can)."""

    @property
    def brings_weights(self) -> bool:
        """Whether it starts from given weights instead of drawing all of them."""
        return self.weights is not None

    @property
    def ends_blocks_in_norms(self) -> bool:
        """Whether every block ends in a norm; fresh, such a model's receptive field shows no attention."""
        return False

    @property
    def takes_any_size(self) -> bool:
        """Whether it gives maps of images of other sizes than `input_size_px`, too."""
        return False

    def require_any_size(self) -> None:
        """Refuse a model that sees squares of one size only.

        Raises:
            ConfigError: says what would be right.
        """
        if not self.takes_any_size:
            raise ConfigError(self.only_its_size)

    @property
    def only_its_size(self) -> str:
        """What is said of a model that can't see images of any size."""
        return (
            f"{self.label} sees squares of {self.input_size_px} pixels only, and the task shows it images of other "
            "sizes: take a Swin or a CNN, or let the task show squares"
        )

    def for_maps(self) -> "Model":
        """The same network as a source of feature maps: where it has windows, as large in every stage."""
        return self

    @abstractmethod
    def build(self, num_classes: int, *, position_seed: int = 0, data_root: Path | None = None) -> "nn.Module":
        """The network on the CPU, with fresh weights from torch's global random numbers, or with given ones.

        Args:
            num_classes: of the head.
            position_seed: of a re-initialised position embedding; it moves no other random number.
            data_root: where a relative path of `weights` starts (`None`: the current folder).

        Raises:
            ConfigError: it can't be built so.
            CheckpointError: its file of weights can't be read.
        """

    def without_weights(self) -> Self:
        """The same network, drawn as its initialisation leaves it (for a model that always is: itself)."""
        return self

    @abstractmethod
    def build_fresh(self, num_classes: int) -> "nn.Module":
        """The network as its initialisation leaves it, whatever weights and position embedding it would get."""

    @abstractmethod
    def forward_flops_per_image(self) -> float:
        """Floating-point operations of one image's forward pass (2 per multiply-add)."""

    @abstractmethod
    def grids(self) -> ModelGrids:
        """Where its tokens lie, layer by layer.

        Raises:
            AnalysisError: its features lie on no grid.
        """

    def trouble_with(self, theirs: "Model", path: str) -> str | None:
        """Why the weights of another model can't start this one (`None`: nothing speaks against it).

        Args:
            theirs: what the weights are of.
            path: how messages call their file.
        """
        if theirs.architecture == self.architecture:
            return None
        return f"the weights in {path} are not those of {self.architecture}: they are those of {theirs.architecture}"

    def timm_call(self, num_classes: int) -> tuple[str, dict[str, JsonValue]] | None:
        """Name and arguments with which `timm.create_model` builds the same network (`None`: timm has no name for it).

        As JSON has the arguments: a list stands for a tuple.
        """
        return None
