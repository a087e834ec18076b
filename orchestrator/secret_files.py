"""Settings that nobody else may read, handed on in files: one file for each, named like its variable.

Ray shows a job's environment to everybody who may ask it, and writes it into a log; so addresses with a password in
them travel as files (mode 0600) on the storage that every node sees. The layout is that of Docker's and Kubernetes'
secrets, which pydantic-settings reads.
"""

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.addresses import without_password

SECRETS_VARIABLE = "SIGMALAB_SECRETS_DIR"
"""Names the folder."""
FOLDER = ".driver-secrets"
"""The folder of all of them, below the storage."""


def is_secret(url: str) -> bool:
    """Whether an address holds a password, as user information or as an argument of libpq's."""
    return without_password(url) != url or "password=" in urlsplit(url).query.lower()


def folder_for(storage: Path, values: Mapping[str, str]) -> Path:
    """Where secrets lie below a storage: one place for one service, also when its passwords change."""
    named = "\n".join(f"{name}={without_password(url).partition('?')[0]}" for name, url in sorted(values.items()))
    return storage / FOLDER / hashlib.sha256(named.encode()).hexdigest()[:16]


def write_secrets(folder: Path, values: Mapping[str, str]) -> None:
    """Write each value into a file of its own, each in one step.

    Raises:
        OSError: the folder can't be written.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, value in values.items():
        draft = folder / f".{name}.{secrets.token_hex(4)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(value)
        draft.replace(folder / name)
