"""How a training is scored that is a program of the user's own: by the numbers that it writes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NoReturn

from pydantic import Field

from trainers.command.results import ResultsConfig
from trainers.errors import ConfigError
from trainers.metrics import Metric
from trainers.tasks.task import BatchEvidence, Outputs, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainers.models.model import Model
    from trainers.nested import Nested
    from trainers.tasks.evidence import Evidence


class CommandTask(Task):
    """A training script of the user's own trains and scores; its numbers are read."""

    metrics: ClassVar[tuple[Metric, ...]] = ()
    selects_by: ClassVar[str] = ""
    watched: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[Literal["class", "mask", "objects", "command"]] = "command"
    loop: ClassVar[str] = "trainers.command.trial"
    runs_itself: ClassVar[bool] = True

    kind: Literal["command"] = "command"
    results: Annotated[ResultsConfig, Field(discriminator="kind")]
    """Where the script leaves its numbers, and what they mean."""

    @property
    def measured(self) -> tuple[Metric, ...]:
        """What the user has declared."""
        return self.results.measured

    @property
    def claims(self) -> tuple[str, ...]:
        """Metrics of `test/`, and those of `val/` where they choose the row."""
        names = (name.partition("/") for name in self.results.metrics)
        split_of = {"test": "test", **({"val": "best_val"} if self.results.row == "best" else {})}
        found = [f"{split_of[split]}/{name}" for split, _, name in names if split in split_of]
        return tuple(sorted(found, key=lambda name: not name.startswith("test/")))

    @property
    def default_claim(self) -> str:
        """The first metric of `test/`, else of `val/`."""
        return next(iter(self.claims), "")

    @property
    def chosen_words(self) -> str:
        """Which row counts."""
        chooser = self.results.chooser
        if self.results.row == "best" and chooser is not None:
            return f"Of each training the row with the best {chooser[0]} counts."
        return "Of each training the last row counts." if self.results.row == "last" else ""

    def network(
        self, model: "Model", class_names: Sequence[str], *, position_seed: int, data_root: Path | None
    ) -> "nn.Module":
        """Nothing to build.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def backbone(self, network: "nn.Module") -> "nn.Module":
        """There is none.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def outputs(self, network: "nn.Module", images: "Nested", targets: "Nested | None") -> Outputs:
        """There are none.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def criterion(self, class_names: Sequence[str], device: "torch.device") -> "Callable[[Outputs, Nested], Tensor]":
        """There is none.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def look(self, outputs: Outputs, targets: "Nested", indices: "Tensor") -> BatchEvidence:
        """There is nothing to look at.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def evidence(self, batches: Sequence[BatchEvidence]) -> "Evidence":
        """There is none.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ConfigError("a command trains by itself: sigmalab builds and scores nothing for it")
