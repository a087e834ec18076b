"""What is trained, as a command line: the program is the user's own, and sigmalab knows nothing of its network."""

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn

from pydantic import Field, field_validator

from trainers.command.arguments import Arguments
from trainers.command.files import is_script
from trainers.errors import AnalysisError, ConfigError
from trainers.models.grids import ModelGrids
from trainers.models.model import Channels, Model

if TYPE_CHECKING:
    from torch import nn


class CommandModel(Model):
    """A training script of the user's own, by the command that starts it.

    It runs in a folder of its own, which holds a copy of the files that the command names and of the modules that these
    import; everything that it leaves there is kept with the trial.
    """

    runs_itself: ClassVar[bool] = True

    kind: Literal["command"] = "command"
    argv: tuple[str, ...] = Field(min_length=1, max_length=256)
    """The command, word by word (no shell reads it). `{seed}` stands for the trial's seed, which has to be among them,
    `{output}` for the folder that it runs in, `{lr}` for the argument `lr`. `python` is the one that runs sigmalab."""
    arguments: Arguments = Field(default_factory=dict)
    """What names in braces stand for; arms patch them one by one. A list stands for several words, or none: with
    `"flags": []` the word `{flags}` is left out, with `"flags": ["--amp"]` it is `--amp`."""
    files: tuple[str, ...] = Field(default=(), max_length=100)
    """Further files and folders that it needs, from the folder that `code` names on. Files that `argv` and `arguments`
    name, and modules that scripts import, are found without."""

    def __hash__(self) -> int:
        """Of the whole config: its arguments are a dict, which has no hash."""
        return hash(self.model_dump_json())

    @field_validator("files")
    @classmethod
    def _stay_in_the_folder(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        for file in files:
            if not file or Path(file).is_absolute() or ".." in Path(file).parts:
                raise ValueError(f"{file!r} is not a path inside of the folder that `code` names")
        return files

    @property
    def label(self) -> str:
        """Short name: that of the first script, and the arguments."""
        scripts = [PurePosixPath(word).stem for word in self.argv if is_script(word)]
        name = next(iter(scripts), None) or PurePosixPath(self.argv[0]).name
        values = (f"{each}{value}" for each, value in self.arguments.items())
        return re.sub(r"[^A-Za-z0-9._]+", "-", "_".join([name, *values])).strip("-")[:60]

    @property
    def input_size_px(self) -> int:
        """Not known: 1."""
        return 1

    @property
    def input_mean(self) -> Channels:
        """Nothing is normalised."""
        return (0.0, 0.0, 0.0)

    @property
    def input_std(self) -> Channels:
        """Nothing is normalised."""
        return (1.0, 1.0, 1.0)

    @property
    def weights(self) -> None:
        """What a script loads is its own affair."""

    @property
    def no_bias(self) -> str:
        """Its network is the script's."""
        return "its network is the script's own"

    def build(self, num_classes: int, *, position_seed: int = 0, data_root: Path | None = None) -> "nn.Module":
        """Nothing to build.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def build_fresh(self, num_classes: int) -> "nn.Module":
        """Nothing to build.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def forward_flops_per_image(self) -> float:
        """Not known.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def grids(self) -> ModelGrids:
        """Not known.

        Raises:
            AnalysisError: always.
        """
        raise AnalysisError(f"{self.label} is a command: its network is the script's own")

    def _refuse(self) -> NoReturn:
        raise ConfigError(f"{self.label} is a command: its network is the script's own")
