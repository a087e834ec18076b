"""Weights to start from, in a file of one's own."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from trainers.checksums import SHA256_PATTERN
from trainers.errors import CheckpointError, DataError
from trainers.fence import fence, is_file
from trainers.strict import StrictModel
from trainers.user_path import user_path

if TYPE_CHECKING:
    import torch

_BIAS_MARK = ".gaussian."
WITHOUT_WEIGHTS = (
    'the attention bias is {"kind": "from_weights"}, and the model has no file to read sigma and A from: name it '
    '(`weights` of a timm model), or say where they start, {"kind": "gaussian", "sigma": 5.0}'
)
"""What to say of a bias `from_weights` where a model has no file."""


_BLOCK_BYTES = 2**24


class WeightsFile(StrictModel):
    """A file of weights of the same model: torch or safetensors, in timm's names or in those of the paper's authors.

    Sigma and A in it stay unread: the attention bias starts as its config says, and both arms start alike. Only
    `"attention_bias": {"kind": "from_weights"}` starts from them.
    """

    path: str = Field(min_length=1)
    """The file; `~` is the home of whoever trains, a relative path starts at the runtime's data root."""
    sha256: str = Field(pattern=SHA256_PATTERN)
    """Digest of the file (`sha256sum FILE`): with it, the file's content is part of the trial's identity."""

    def verified(self, data_root: Path | None) -> Path:
        """The file, if it is the one that the digest says.

        Raises:
            CheckpointError: the file is missing, may not be read, can't be read, or is another one.
        """
        where = "the current folder" if data_root is None else f"the data root {data_root}"
        try:
            named = user_path(self.path, data_root)
            # What the check has found, whatever the name leads to a moment later. But the ending says how to read it,
            # and a cache that links to its blobs gives these none.
            real = Path(fence().check(named, self.path))
            file = real if real.suffix == named.suffix else named
            if not is_file(file):
                raise CheckpointError(
                    f"there is no file of weights {file.resolve()}; its path {self.path!r} starts at {where}"
                )
            found = file.stat()
            if found.st_size == 0:
                raise CheckpointError(f"the file of weights {file.resolve()} is empty (0 bytes): copy or save it again")
            digest = _digest(file, found.st_size, found.st_mtime_ns, found.st_ino)
        except DataError as error:
            raise CheckpointError(f"the file of weights: {error}") from error
        except OSError as error:
            raise CheckpointError(
                f"the file of weights {file.resolve()} can't be read ({error.strerror or error}); its path "
                f"{self.path!r} starts at {where}"
            ) from error
        if digest != self.sha256:
            raise CheckpointError(
                f"{file} is another file: its sha256 is not {self.sha256}, which the model config says (`sha256sum "
                f"{file}` tells it)"
            )
        return file

    def read(self, data_root: Path | None) -> "dict[str, torch.Tensor]":
        """The weights without sigma and A, on the CPU.

        Raises:
            CheckpointError: the file is missing, is another one, or can't be read.
        """
        return {name: value for name, value in self._read(data_root).items() if _BIAS_MARK not in name}

    def read_bias(self, data_root: Path | None) -> "dict[str, torch.Tensor]":
        """Sigma and A alone (empty: the file holds none), on the CPU.

        Raises:
            CheckpointError: the file is missing, is another one, or can't be read.
        """
        return {name: value for name, value in self._read(data_root).items() if _BIAS_MARK in name}

    def _read(self, data_root: Path | None) -> "dict[str, torch.Tensor]":
        from trainers.models.published import read_state_dict

        return read_state_dict(self.verified(data_root))


@lru_cache(maxsize=64)
def _digest(file: Path, size: int, modified_ns: int, inode: int) -> str:
    """Remembered as long as the file does not change: a service plans the same weights many times."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            fence().count(str(file), 0)
            digest.update(block)
    return digest.hexdigest()
