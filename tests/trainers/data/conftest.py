import io
from pathlib import Path

import pytest

from tests.trainers.data.layouts import small
from trainers.data.manifest import read_manifest
from trainers.data.manifest_set import ManifestConfig
from trainers.data.prepare.preparation import default_name, prepare


@pytest.fixture
def data_root(tmp_path):
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def prepared(data_root):
    """Prepares a stand-in of a set as if its counts were the published ones; gives the manifest and its config."""

    def make(published, root: Path, protocol="official", *, allow_incomplete=False, **facts):
        output = data_root / default_name(published, protocol)
        prepare(
            small(published, root, **facts),
            root,
            protocol,
            output,
            allow_incomplete=allow_incomplete,
            stream=io.StringIO(),
        )
        return read_manifest(output), ManifestConfig(path=output.name)

    return make
