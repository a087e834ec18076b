"""The private folder outside: whatever the paths are, Ray's sockets fit below it."""

import fcntl
import importlib.util
import os
import re
import stat
import tempfile
from pathlib import Path

import pytest

from api.local_stack.errors import StackError
from api.local_stack.scratch import SOCKET_PATH_LIMIT, SOCKET_TAIL, Scratch, fits, make_scratch

LONGEST_SESSION = "session_2026-01-01_00-00-00_000000_4194304"
"""A process id has at most seven digits (kernel.pid_max)."""


@pytest.fixture
def temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """TMPDIR is asked anew."""
    monkeypatch.setattr(tempfile, "tempdir", None)


def installed_rays_sockets() -> list[str]:
    """Names of the sockets that a head may make: of the raylet, and of each of the dashboard's processes."""
    ray = importlib.util.find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    modules = Path(ray.origin).parent / "dashboard" / "modules"
    code = "\n".join(file.read_text() for file in modules.rglob("*.py"))
    names = re.findall(r"^class (\w+)\(.*SubprocessModule", code, re.MULTILINE)
    assert "MetricsHead" in names
    return ["plasma_store", "raylet", *(f"dash_{name}" for name in names)]


@pytest.mark.parametrize("length", range(4, 121))
def test_any_folder_for_temporary_files(
    tmp_path: Path, length: int, monkeypatch: pytest.MonkeyPatch, temporary_folder: None
) -> None:
    place = Path("/tmp") / ("x" * (length - len("/tmp/"))) if length > len("/tmp/") else Path("/tmp")
    monkeypatch.setenv("TMPDIR", str(place))
    made_here = not place.exists()
    place.mkdir(exist_ok=True)
    try:
        scratch = make_scratch()
        try:
            assert len(f"{scratch.ray}/{LONGEST_SESSION}/sockets/dash_MetricsHead") <= SOCKET_PATH_LIMIT - 8
            assert len(str(scratch.path)) + SOCKET_TAIL <= SOCKET_PATH_LIMIT
            assert (scratch.path.parent == place) == fits(place)
            assert stat.S_IMODE(scratch.path.stat().st_mode) == 0o700
        finally:
            scratch.ray.rmdir()
            scratch.temporary.rmdir()
            scratch.path.rmdir()
    finally:
        if made_here:
            place.rmdir()


def test_the_sockets_of_the_installed_ray_fit_with_some_room() -> None:
    for name in installed_rays_sockets():
        tail = f"{Scratch(Path('/')).ray}/{LONGEST_SESSION}/sockets/{name}"
        assert len(tail) <= SOCKET_TAIL - 5, name


def test_characters_are_counted_in_bytes() -> None:
    assert fits(Path("/uuuuu"))
    assert not fits(Path("/üüüüü"))


def test_where_nothing_fits_it_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary_folder: None
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("api.local_stack.scratch._USUAL_PLACES", (Path("/proc"),))
    with pytest.raises(StackError, match=r"too long for Ray's sockets; /proc can't be used: .*\. Set TMPDIR to"):
        make_scratch()


def test_whoever_tidies_up_finds_it_locked() -> None:
    scratch = make_scratch()
    held = scratch.lock()
    visitor = os.open(scratch.path, os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(visitor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(held)
        fcntl.flock(visitor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(visitor)
        scratch.ray.rmdir()
        scratch.temporary.rmdir()
        scratch.path.rmdir()
