"""Which modules a piece of code uses, and which edits change what it does."""

from pathlib import Path

import pytest

from trainers.closure import Sources


def sources(root: Path, **files: str) -> Sources:
    """A package `lab` with these files, `__` for a slash."""
    (root / "lab").mkdir(exist_ok=True)
    for name, text in {"__init__": "", **files}.items():
        path = root.joinpath("lab", *("__init__" if name == "__init__" else name).split("__")).with_suffix(".py")
        if name == "__init__":
            path = root / "lab" / "__init__.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return Sources({"lab": root / "lab"})


@pytest.mark.parametrize(
    "statement",
    [
        "import lab.used",
        "import numpy, lab.used as u",
        "from lab import used",
        "from lab.used import VALUE",
        "from lab.used import *",
        "from . import used",
        "from .used import VALUE",
        "def build():\n    from lab.used import VALUE",
        "class A:\n    def f(self):\n        if 1:\n            import lab.used",
        "try:\n    import lab.used\nexcept ImportError:\n    pass",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import lab.used",
    ],
)
def test_an_import_counts_wherever_it_stands(tmp_path: Path, statement: str) -> None:
    found = sources(tmp_path, start=statement, used="VALUE = 1", other="").closure(["lab.start"])
    assert found == {"lab", "lab.start", "lab.used"}


@pytest.mark.parametrize("test", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_an_import_for_types_alone_does_not(tmp_path: Path, test: str) -> None:
    start = f"import typing\nfrom typing import TYPE_CHECKING\nif {test}:\n    import lab.used"
    assert sources(tmp_path, start=start, used="").closure(["lab.start"]) == {"lab", "lab.start"}


def test_imports_are_followed_to_their_end_and_in_circles(tmp_path: Path) -> None:
    found = sources(tmp_path, a="import lab.b", b="import lab.c", c="import lab.a", d="import lab.a")
    assert found.closure(["lab.a"]) == {"lab", "lab.a", "lab.b", "lab.c"}


def test_a_package_runs_before_its_modules(tmp_path: Path) -> None:
    lab = sources(tmp_path, start="import lab.deep.inner", unseen="", used="")
    deep = tmp_path / "lab" / "deep"
    deep.mkdir()
    (deep / "__init__.py").write_text("from .sibling import NAME\nfrom .. import used")
    (deep / "sibling.py").write_text("NAME = 1")
    (deep / "inner.py").write_text("")
    assert lab.closure(["lab.start"]) == {
        "lab", "lab.start", "lab.deep", "lab.deep.sibling", "lab.used", "lab.deep.inner"
    }  # fmt: skip


def test_what_is_left_out_is_not_followed(tmp_path: Path) -> None:
    lab = sources(
        tmp_path, start="from lab.kinds import Used", kinds="from lab.used import Used", used="class Used: ..."
    )
    assert lab.closure(["lab.start"], but=["lab.kinds"]) == {"lab", "lab.start"}
    assert lab.closure(["lab.start", "lab.used"], but=["lab.kinds"]) == {"lab", "lab.start", "lab.used"}


def test_a_module_outside_packages_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import lab.used")
    sources(tmp_path, used="")
    both = Sources({"lab": tmp_path / "lab", "mine": tmp_path / "mine.py"})
    assert both.closure(["mine"]) == {"mine", "lab", "lab.used"}


def test_a_start_without_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no source of lab\.nowhere"):
        sources(tmp_path).closure(["lab.nowhere"])


FUNCTION = '''
import math

class A:
    """What it is."""

    width: int = 3
    """In tokens."""

    def area(self) -> float:
        """pi r^2."""
        return math.pi * self.width**2  # a circle's
'''


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("  # a circle's", "", True),
        ("What it is.", "What it was.", True),
        ("In tokens.", "In pixels.", True),
        ("pi r^2.", "The area.", True),
        ("math.pi * self.width**2", "(math.pi\n            * (self.width ** 2))", True),
        ("= 3", "= 4", False),
        ("math.pi * self", "math.pi / self", False),
        ("math.pi", "math.e", False),
        ("import math", "import cmath as math", False),
        ("int = 3", "float = 3", False),
        ("= 3", "= 3.0", False),
        ("return math.pi * self.width**2", "return None", False),
    ],
)
def test_only_what_is_done_counts(tmp_path: Path, old: str, new: str, is_same: bool) -> None:
    assert old in FUNCTION
    before, after = (
        sources(tmp_path, start=text).digest("lab.start") for text in (FUNCTION, FUNCTION.replace(old, new))
    )
    assert (before == after) is is_same


def test_a_digest_is_the_same_on_every_python(tmp_path: Path) -> None:
    """The value is of Python 3.11: `ast.dump` would tell type parameters from 3.12 on, and no empty lists from 3.13."""
    assert sources(tmp_path, start=FUNCTION).digest("lab.start") == "712ea6627d57"
