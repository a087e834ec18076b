"""Which code made a number: a digest of this package's source and of the libraries below it."""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NUMERIC_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "pillow")


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that compute, by distribution name (`none`: not needed by every trial)."""
    return {name: _version(name) for name in NUMERIC_LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


@cache
def code_version() -> str:
    """12 hex digits over the source of `trainers/` and the versions of the numeric libraries.

    Any edit of a file of this package makes new trial identities: a finished trial is reused only by the very
    code that made it. What prepares data sets is left out: no trial imports it (an import contract), and what it
    makes has its own fingerprint.
    """
    digest = hashlib.sha256(repr(sorted(library_versions().items())).encode())
    package = Path(__file__).parent
    for source in sorted(set(package.rglob("*.py")) - set((package / "data" / "prepare").rglob("*.py"))):
        digest.update(source.relative_to(package).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
