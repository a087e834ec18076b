from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainers.own_code import mine
from trainers.own_code.place import running

FILES = {
    "labd/__init__.py": "",
    "labd/data.py": mine.DATA,
    "labd/losses.py": mine.LOSSES,
    "labd/changes.py": mine.CHANGES,
    "labd/optimizers.py": mine.OPTIMIZERS,
    "labd/augmentations.py": mine.AUGMENTATIONS,
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Path]:
    """The folder of a package `labd`, which this process imports."""
    for name, text in FILES.items():
        file = tmp_path / "lab" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with running(tmp_path / "lab"):
        yield tmp_path / "lab"
    # The next test's folder is another one of the same names.
    with running(None):
        pass
