"""`sigmalab data` as a user types it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from api.cli.application import application
from tests.preloaded.program import Sigmalab
from tests.trainers.data.layouts import make_pet


def test_prepare(call: Sigmalab, tmp_path: Path) -> None:
    images, data_root = make_pet(tmp_path / "pet"), tmp_path / "root"
    data_root.mkdir()
    arguments = ("data", "prepare", "oxford_pet", "--root", str(images), "--protocol", "paper", "--json")
    refused = call(*arguments, env={"SIGMALAB_DATA_ROOT": str(data_root)})
    assert refused.returncode == 4
    assert refused.stdout == ""
    assert f"\nerror: {images} is not all of Oxford-IIIT Pet: 4 classes instead of 37" in refused.stderr
    done = call(*arguments, "--allow-incomplete", env={"SIGMALAB_DATA_ROOT": str(data_root)})
    assert done.returncode == 0
    assert "images checked 80 of 80  100 %" in done.stderr
    answer = json.loads(done.stdout)
    assert answer["dataset"] == {"kind": "manifest", "path": "oxford_pet-paper-incomplete.manifest.parquet"}
    assert answer["manifest"] == str(data_root / "oxford_pet-paper-incomplete.manifest.parquet")
    assert Path(answer["manifest"]).is_file()


def test_help_shows_examples() -> None:
    for command in ("prepare", "write", "list"):
        shown = CliRunner().invoke(application, ["data", command, "--help"]).stdout
        assert f"Example: sigmalab data {command}" in shown
        assert "--json" in shown
    unknown = CliRunner().invoke(application, ["data", "prepare", "oxford_pet", "--root", ".", "--protocol", "papers"])
    assert unknown.exit_code == 2
    assert "'official', 'paper'" in unknown.stderr
