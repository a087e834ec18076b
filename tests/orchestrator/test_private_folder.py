"""Folders that others could change are refused, those that others could read are closed."""

import os
import stat
from pathlib import Path

import pytest

from orchestrator.private_folder import OpenFolderError, current_umask, private_folder, refuse_open, umask_of


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_one_is_for_this_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    with umask_of(0):
        private_folder(tmp_path / "above" / "home")
    assert mode_of(tmp_path / "above" / "home") == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711])
def test_one_that_others_read_is_closed(tmp_path: Path, mode: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    private_folder(home)
    assert mode_of(home) == 0o700


@pytest.mark.parametrize(("mode", "who"), [(0o777, "everybody"), (0o1777, "everybody"), (0o770, "its group")])
def test_one_that_others_write_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int, who: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    with pytest.raises(OpenFolderError, match=rf"{who} may write {home} \(mode .*`chmod go-w {home}`"):
        private_folder(home)
    assert mode_of(home) == mode
    os.system(f"chmod go-w {home}")
    private_folder(home)


def test_a_group_may_share_a_storage(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    refuse_open(tmp_path, group_may_write=True)
    tmp_path.chmod(0o2777)
    with pytest.raises(OpenFolderError, match=f"everybody may write .*`chmod o-w {tmp_path}`"):
        refuse_open(tmp_path, group_may_write=True)


def test_a_folder_that_can_be_swapped_is_refused(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    outer.chmod(0o777)
    with pytest.raises(OpenFolderError, match=rf"everybody may write {outer}, .* place of {outer}/lab/home"):
        private_folder(outer / "lab" / "home")
    # As /tmp.
    outer.chmod(0o1777)
    private_folder(outer / "lab" / "home")


def test_the_mask_is_told_and_put_back() -> None:
    before = current_umask()
    with umask_of(0o027):
        assert current_umask() == 0o027
    assert current_umask() == before
