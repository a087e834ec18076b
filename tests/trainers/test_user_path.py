"""`~` in every path of a spec: the home of whoever reads it."""

import hashlib
import os
from pathlib import Path

import pytest

from trainers.data.folder import FolderConfig
from trainers.data.manifest_set import ManifestConfig
from trainers.errors import CheckpointError, DataError
from trainers.models.weights_file import WeightsFile
from trainers.user_path import user_home, user_path


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "me").mkdir()
    return tmp_path / "me"


def test_where_a_path_leads(home):
    assert user_path("~/pets", None) == user_path("~/pets", Path("/srv")) == home / "pets"
    assert user_path("pets", Path("/srv")) == Path("/srv/pets")
    assert user_path("/pets", Path("/srv")) == Path("/pets")
    assert user_path("pets~/x", None) == Path("pets~/x")
    assert user_path("~nobody-of-this-name/x", Path("/srv")) == Path("/srv/~nobody-of-this-name/x")


def test_a_user_whose_home_nobody_knows(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_321_987)
    assert user_home() is None
    assert user_path("~/pets", Path("/srv")) == Path("/srv/~/pets")


@pytest.mark.parametrize("root", [None, Path("/srv")])
def test_every_path_of_a_spec_may_begin_at_home(home, root):
    with pytest.raises(DataError, match=f"{home}/pets"):
        FolderConfig(path="~/pets").load(root, input_size_px=32, augmentation=None, seed=0)
    with pytest.raises(DataError, match=f"{home}/pets.manifest.parquet"):
        ManifestConfig(path="~/pets.manifest.parquet").fingerprint(root)
    content = b"no weights"
    (home / "weights.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{home}/weights.pt"):
        WeightsFile(path="~/weights.pt", sha256=hashlib.sha256(content).hexdigest()).read(root)
    # What the user wrote stays: one spec is one trial on every machine.
    assert FolderConfig(path="~/pets").path == "~/pets"
