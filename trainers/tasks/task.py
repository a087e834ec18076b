"""What a task decides, and the loop does not know: network, loss, evidence, metrics, and which epoch is the best."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from trainers.data.scored_view import ScoredView
from trainers.metrics import Metric
from trainers.strict import StrictModel

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainers.models.model import Model
    from trainers.nested import Nested
    from trainers.tasks.classification.mixing import Mixing
    from trainers.tasks.evidence import Evidence
    from trainers.tasks.shown_images import ShownImage

Outputs: TypeAlias = Any
"""What a task's network gives for a batch; only the task looks into it."""
BatchEvidence: TypeAlias = Any
"""What a task keeps of one scored batch, still on the device."""


class Preparation(Protocol):
    """Changes the images and targets of a training batch together, on the device where the network is."""

    def __call__(
        self, images: "Nested", targets: "Nested", /, *, epoch: int, micro_batch: int
    ) -> "tuple[Nested, Nested]":
        """The changed images (they may be overwritten) and targets.

        Args:
            images: normalised.
            targets: of the split.
            epoch: from 0.
            micro_batch: its number in the epoch, from 0.
        """


class Task(StrictModel, ABC):
    """What is learned and how it is scored.

    The network is any module that holds the `backbone`: where an attention bias attaches, analyses look and layers are
    numbered. It may be the backbone itself, as timm's classifiers are both.
    """

    metrics: ClassVar[tuple[Metric, ...]]
    """What every scored split is measured by."""
    selects_by: ClassVar[str]
    """The metric of the validation split that chooses the scored epoch, and params where the claim rests on none."""
    class_metrics: ClassVar[tuple[Metric, ...]] = ()
    """What the evidence tells of every class by itself (empty: nothing): see `Evidence.class_scores`."""
    watched: ClassVar[tuple[str, ...]]
    """Metrics of the validation split that are told after every epoch, the most telling one last."""
    published: ClassVar[Mapping[str, str]] = {}
    """Metrics that publications of the task print side by side -> their headings (`_` begins an index); empty: the
    claimed one alone is printed."""
    targets: ClassVar[Literal["class", "mask", "objects", "command"]] = "class"
    """What a data set has to say of each image: see `Dataset.targets`."""
    runs_itself: ClassVar[bool] = False
    """Whether a program of the user's own trains and scores, and its numbers are read: nothing below is asked then."""
    loop: ClassVar[str] = "trainers.training.trial"
    """The module that makes a result of a config: its code is that of every such trial."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions that compute in it beside those that every trial needs."""
    is_whole_model: ClassVar[bool] = False
    """Whether the network is what the model builds, head included: its weights can be exported as the model's then."""
    mixes: ClassVar[bool] = False
    """Whether images of a batch may be mixed with each other."""

    core_seconds_per_image: ClassVar[float] = 0.0
    """What an image costs a CPU core beside the products of its network, each time it is seen (cut, resized, compared
    with the truth), for plans of tiny models. Measured on images of 64 pixels."""
    shows_images: ClassVar[bool] = False
    """Whether it has something to draw of single images: see `shown`."""

    kind: str

    @property
    def measured(self) -> tuple[Metric, ...]:
        """What every scored split is measured by; `metrics`, unless a user declares them."""
        return self.metrics

    @property
    def claims(self) -> tuple[str, ...]:
        """Names of the metrics that a claim may rest on; `best_val` is validation at the epoch that it has chosen."""
        return tuple(f"{split}/{metric.name}" for split in ("test", "best_val") for metric in self.metrics)

    @property
    def default_claim(self) -> str:
        """The claim of a user who names none."""
        return f"test/{self.selects_by}"

    @property
    def chosen_words(self) -> str:
        """Which of the numbers counts that a program of the user's own has written, as a sentence."""
        return ""

    @property
    def sees_any_size(self) -> bool:
        """Whether its network is shown images of other sizes than the model's input: see `Model.takes_any_size`."""
        return False

    def scored_view(self, usual: ScoredView, *, input_size_px: int) -> ScoredView:
        """How images are shown that are scored.

        Args:
            usual: of the model and its normalisation.
            input_size_px: side of the model's input.
        """
        return usual

    @abstractmethod
    def network(
        self, model: "Model", class_names: Sequence[str], *, position_seed: int, data_root: Path | None
    ) -> "nn.Module":
        """Backbone and head, on the CPU: fresh weights from torch's global random numbers, or those that a model loads.

        Args:
            model: the backbone's config.
            class_names: of the data set.
            position_seed: of a re-initialised position embedding; it moves no other random number.
            data_root: where relative paths of weights start.

        Raises:
            ConfigError: it can't be built so.
            CheckpointError: the model's file of weights can't be read.
        """

    @abstractmethod
    def backbone(self, network: "nn.Module") -> "nn.Module":
        """The backbone of a network that `network` has built, or of a copy of one."""

    def keep_precise(self, network: "nn.Module") -> None:
        """Change in place what must stay in fp32 under bf16's autocast; by default nothing."""

    def require_classes(self, num_classes: int, *, epochs: int, label: str) -> None:
        """Refuse data whose classes are too few.

        Args:
            num_classes: of the data set.
            epochs: that are trained.
            label: of the data set, for the message.

        Raises:
            DataError: they are.
        """

    def preparation(
        self, mixing: "Mixing", class_names: Sequence[str], *, micro_batch_size: int, seed: int, rank: int
    ) -> Preparation | None:
        """What changes training batches on the device (`None`: nothing does).

        Args:
            mixing: the trial's; only a task that `mixes` is asked for any.
            class_names: of the data set.
            micro_batch_size: images of one forward pass on one rank.
            seed: the trial's.
            rank: of this process.

        Raises:
            ConfigError: batches of this size can't be prepared so.
        """
        return None

    @abstractmethod
    def outputs(self, network: "nn.Module", images: "Nested", targets: "Nested | None") -> Outputs:
        """One forward pass.

        Args:
            network: what `network` has built, or that wrapped for several ranks.
            images: normalised; of the shapes that the data set gives.
            targets: in training, for networks whose forward pass needs them; `None` in scoring.
        """

    @abstractmethod
    def criterion(self, class_names: Sequence[str], device: "torch.device") -> "Callable[[Outputs, Nested], Tensor]":
        """The training loss: of the outputs of a forward pass in training, and targets as `preparation` has left them.

        It gives the mean over a batch, a scalar in fp32.

        Args:
            class_names: of the data set.
            device: where outputs and targets will be.

        Raises:
            ConfigError: the config's loss can't be built.
        """

    @abstractmethod
    def look(self, outputs: Outputs, targets: "Nested", indices: "Tensor") -> BatchEvidence:
        """What is kept of each scored image, still on the device.

        Args:
            outputs: of a forward pass without targets.
            targets: of the split.
            indices: [B] places in the data set.
        """

    @abstractmethod
    def evidence(self, batches: Sequence[BatchEvidence]) -> "Evidence":
        """Join one rank's batches, at least one, in the order in which they were scored."""

    def shown(self, images: "Nested", outputs: Outputs, targets: "Nested", indices: "Tensor") -> "Sequence[ShownImage]":
        """What is kept of images for pictures; only a task that `shows_images` is asked.

        Args:
            images: of a batch that is scored, before they are normalised.
            outputs: of a forward pass without targets.
            targets: of the split.
            indices: [B] places in the data set.
        """
        return ()

    def forward_flops_per_image(self, model: "Model") -> float:
        """Floating-point operations of the network's forward pass on one image (2 per multiply-add)."""
        return model.forward_flops_per_image()

    @classmethod
    def metric(cls, name: str) -> Metric:
        """The metric of this name, which the task has declared."""
        return next(metric for metric in cls.metrics if metric.name == name)

    def is_better(self, new: Mapping[str, float], old: Mapping[str, float]) -> bool:
        """Whether validation metrics choose the epoch of `new`; of equal ones the earlier stays."""
        metric = self.metric(self.selects_by)
        if metric.higher_is_better:
            return new[metric.name] > old[metric.name]
        return new[metric.name] < old[metric.name]
