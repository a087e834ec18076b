"""Weights to start from, in a file of one's own."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from trainers.errors import CheckpointError
from trainers.strict import StrictModel
from trainers.user_path import user_path

if TYPE_CHECKING:
    import torch


class WeightsFile(StrictModel):
    """A file of weights of the same model: torch or safetensors, in timm's names or in those of the paper's authors.

    Sigma and A in it stay unread: the attention bias starts as its config says, and both arms start alike.
    """

    path: str = Field(min_length=1)
    """The file; `~` is the home of whoever trains, a relative path starts at the runtime's data root."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Digest of the file (`sha256sum FILE`): with it, the file's content is part of the trial's identity."""

    def read(self, data_root: Path | None) -> "dict[str, torch.Tensor]":
        """The weights without sigma and A, on the CPU.

        Raises:
            CheckpointError: the file is missing, is another one, or can't be read.
        """
        from trainers.models.published import read_state_dict, require_content

        file = user_path(self.path, data_root)
        try:
            require_content(file)
            with file.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            where = "the current folder" if data_root is None else f"the data root {data_root}"
            raise CheckpointError(
                f"the file of weights {file.resolve()} can't be read ({error.strerror}); its path {self.path!r} "
                f"starts at {where}"
            ) from error
        if found != self.sha256:
            raise CheckpointError(f"{file} is another file: its sha256 is {found}, the model config says {self.sha256}")
        return {name: value for name, value in read_state_dict(file).items() if ".gaussian." not in name}
