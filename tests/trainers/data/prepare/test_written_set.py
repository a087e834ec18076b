"""Generated sets as files: read again, and trained on, they are the sets in memory."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.trainers.test_loop import numbers
from trainers.config import TrialConfig
from trainers.data.prepare.__main__ import main
from trainers.runtime import Runtime
from trainers.training.trial import train

SIZES = {"image_size_px": 32, "num_train": 8, "num_val": 4, "num_test": 5}
TASKS = {
    "shapes": {"kind": "segmentation", "head": {"kind": "linear"}},
    "shapes_objects": {
        "kind": "detection",
        "channels": 8,
        "anchor_size_px": 8,
        "num_proposals": 20,
        "regions_per_image": 16,
        "box_channels": 8,
        "mask_channels": 8,
        "mask_layers": 1,
    },
}


def write(tmp_path, capsys, kind, *fields):
    code = main(["write", kind, *fields, "--output", str(tmp_path / "set"), "--data-root", str(tmp_path), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out)["dataset"] if code == 0 else said.err


@pytest.mark.parametrize("kind", TASKS)
def test_a_training_on_the_files_is_one_on_the_set_in_memory(tmp_path, capsys, kind):
    _, dataset = write(tmp_path, capsys, kind, *(f"{name}={value}" for name, value in SIZES.items()))
    assert dataset["path"] == "set"

    def result(data, name):
        config = TrialConfig.model_validate(
            {
                "task": TASKS[kind],
                "model": {"kind": "small_vit", "width": 12, "depth": 2, "num_heads": 2, "image_size_px": 32},
                "dataset": data,
                "augmentation": {"kind": "none"},
                "optimization": {"epochs": 1, "global_batch_size": 4},
            }
        )
        return train(config, Runtime(device="cpu", data_root=tmp_path, storage=tmp_path / name))

    in_memory, from_files = result({"kind": kind} | SIZES, "memory"), result(dataset, "files")
    assert numbers(from_files) == numbers(in_memory)
    ours, theirs = (np.load(tmp_path / name / "predictions.npz") for name in ("files", "memory"))
    for name in ours.files:
        if not name.endswith("_index"):
            assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_what_can_not_be_written_is_told(tmp_path, capsys):
    assert "there are: shapes, shapes_objects" in write(tmp_path, capsys, "digits")[1]
    assert "extra inputs" in write(tmp_path, capsys, "shapes", "train=3")[1].lower()
    assert "num_train" in write(tmp_path, capsys, "shapes", "num_train=many")[1]
    assert "FIELD=VALUE" in write(tmp_path, capsys, "shapes", "num_train")[1]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").touch()
    assert "is there already" in write(tmp_path, capsys, "shapes")[1]
    assert [file.name for file in tmp_path.iterdir()] == ["set"]
