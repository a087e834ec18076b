"""A word on the storage that everybody who trains must find there: else it is not one storage.

Where a node has no mount, its trials would write into a folder of its own, and nobody would find what they have done.
"""

import platform
import secrets
from pathlib import Path
from typing import Self

from trainers.atomic_file import replaced_file
from trainers.errors import StorageNotSharedError
from trainers.strict import StrictModel

TOKENS = ".experiments"
"""The folder of all words, below the storage."""


class StorageToken(StrictModel):
    """Life: `write` where an experiment is driven -> `require` wherever its trials run -> `remove`."""

    file: Path
    """Below the storage, under the path that every node must see it at."""
    word: str
    """What is in it."""

    @classmethod
    def write(cls, file: Path) -> Self:
        """Leave a word that nobody else knows.

        Raises:
            OSError: the storage can't be written.
        """
        token = cls(file=file, word=secrets.token_hex(16))
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replaced_file(file) as opened:
            opened.write(token.word.encode())
        return token

    def require(self) -> None:
        """See that it is here.

        Raises:
            StorageNotSharedError: names this node.
        """
        try:
            found = self.file.read_text(errors="replace")
            reason = "" if found == self.word else "another file is there"
        except OSError as error:
            reason = error.strerror or str(error)
        if reason:
            raise StorageNotSharedError(
                f"the storage {self.file.parent.parent} is not the same on node {platform.node()} as where the "
                f"experiment is driven ({self.file.name}: {reason}): every node must see one folder under this path "
                "(SIGMALAB_STORAGE), by NFS or alike"
            )

    def remove(self) -> None:
        """Nobody trains any more."""
        self.file.unlink(missing_ok=True)
