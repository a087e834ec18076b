"""What a script of the user's own is trained on: a name for tables, and arguments; nobody else looks at the data."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from trainers.command.arguments import Arguments
from trainers.data.augmentation import Augmentation
from trainers.data.dataset import Dataset
from trainers.data.scored_view import ScoredView
from trainers.data.splitting import SplitSizes
from trainers.data.survey import Survey
from trainers.errors import DataError

if TYPE_CHECKING:
    from trainers.data.splits import Splits

NOT_LOOKED_AT = "not looked at"
"""Stands for the fingerprint of data that only a script reads."""


class CommandDataset(Dataset):
    """Data that a script of the user's own reads; give it a `label`, which tables show.

    Nobody looks at what lies there, so a trial's identity knows the arguments only: data that change need another one.
    """

    targets: ClassVar[Literal["class", "mask", "objects", "command"]] = "command"

    kind: Literal["command"] = "command"
    arguments: Arguments = Field(default_factory=dict)
    """Arguments of the command that differ from data set to data set, such as its folder: they stand for names in
    braces, as those of the model do."""

    def __hash__(self) -> int:
        """Of the whole config: its arguments are a dict, which has no hash."""
        return hash(self.model_dump_json())

    @property
    def label(self) -> str:
        """Short name: its arguments' values, or that the script reads it."""
        values = "_".join(str(value) for value in self.arguments.values())
        return re.sub(r"[^A-Za-z0-9._]+", "-", values).strip("-")[-60:] or "data-of-the-script"

    def fingerprint(self, data_root: Path | None) -> str:
        """Nothing is known of the data."""
        return NOT_LOOKED_AT

    def survey(self, data_root: Path | None) -> Survey:
        """Nothing is known of the data, their number included."""
        return Survey(NOT_LOOKED_AT, SplitSizes(0, 0, 0), None)

    def load(
        self,
        data_root: Path | None,
        *,
        input_size_px: int,
        augmentation: Augmentation,
        seed: int,
        view: ScoredView | None = None,
    ) -> "Splits":
        """Nothing to load.

        Raises:
            DataError: always.
        """
        raise DataError(f"{self.label} is read by a script of the user's own, and by nobody else")
