"""Packages that only some data sets and analyses need: late imports that say what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from trainers.errors import MissingPackageError


@contextmanager
def needed_for(package: str, purpose: str) -> Iterator[None]:
    """Around a late import.

    Args:
        package: the name to install it by.
        purpose: such as `to read pets.manifest.parquet`.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"{package} is needed {purpose}, and {error.name} is not installed here; `pip install {package}`"
        ) from error
