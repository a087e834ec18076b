"""Checksums of a finished trial's files, in `sha256sum`'s own format: what was changed later is not believed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from trainers.atomic_file import replaced_file

SHA256_PATTERN = "^[0-9a-f]{64}$"
"""What a digest looks like, in a config."""
SUMS = "SHA256SUMS"
"""`sha256sum -c SHA256SUMS`, in the trial's folder, tells the same."""


def digest_of(file: Path) -> str:
    """SHA-256 of a file, in hex digits.

    Raises:
        OSError: it can't be read.
    """
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write down what a folder's files hash to: file -> digest.

    Raises:
        OSError: it can't be written.
    """
    with replaced_file(folder / SUMS) as file:
        file.write("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode())


def changed_file(folder: Path) -> str | None:
    """What is wrong with a folder's files (`None`: nothing, or no checksums were kept)."""
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except FileNotFoundError:
        # An earlier version kept none.
        return None
    except (OSError, UnicodeDecodeError) as error:
        return f"{SUMS} can't be read: {error}"
    for line in lines:
        digest, _, name = line.partition("  ")
        try:
            if digest_of(folder / name) != digest:
                return f"{name} was changed after it was written"
        except OSError as error:
            return f"{name} can't be read: {error.strerror or error}"
    return None
