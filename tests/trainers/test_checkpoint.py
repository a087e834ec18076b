import logging

import pytest
import torch

from trainers.checkpoint import CHECKPOINT, PREVIOUS, Identity, TrainingState, load_checkpoint, save_checkpoint
from trainers.errors import CheckpointError

MINE = Identity(trial="t", config="c", code="v", data="d")


def state(epochs):
    return TrainingState(
        model={"weight": torch.full((50, 50), float(epochs))},
        optimizer={"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        ema=None,
        best_weights={"weight": torch.zeros(3)},
        best_epoch=0,
        reports=["{}"] * epochs,
    )


def num_epochs(folder):
    found = load_checkpoint(folder, MINE)
    return None if found is None else len(found.reports)


def test_what_is_saved_is_loaded(tmp_path):
    assert load_checkpoint(tmp_path, MINE) is None
    save_checkpoint(tmp_path, state(1), MINE)
    found = load_checkpoint(tmp_path, MINE)
    assert torch.equal(found.model["weight"], torch.full((50, 50), 1.0))
    assert found.optimizer == state(1).optimizer
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path):
    path.write_bytes(b"\0" * path.stat().st_size)


def empty(path):
    path.write_bytes(b"")


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    # In the middle of the weights.
    content[content.index(b"\x00\x00\x00\x40" * 100) + 200] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, overwrite, empty, flip_a_bit])
def test_a_broken_file_falls_back_with_a_warning(tmp_path, caplog, damage):
    save_checkpoint(tmp_path, state(1), MINE)
    save_checkpoint(tmp_path, state(2), MINE)
    assert num_epochs(tmp_path) == 2
    damage(tmp_path / CHECKPOINT)
    with caplog.at_level(logging.WARNING):
        assert num_epochs(tmp_path) == 1
    assert f"{tmp_path / CHECKPOINT} can't be read" in caplog.text
    assert "an earlier epoch" in caplog.text
    if damage is not flip_a_bit:
        damage(tmp_path / PREVIOUS)
        assert num_epochs(tmp_path) is None


def test_killed_between_two_renames_the_old_one_counts(tmp_path):
    save_checkpoint(tmp_path, state(1), MINE)
    (tmp_path / CHECKPOINT).rename(tmp_path / PREVIOUS)
    assert num_epochs(tmp_path) == 1


def test_a_failed_write_leaves_the_old_file(tmp_path):
    save_checkpoint(tmp_path, state(1), MINE)
    broken = state(2)
    broken.model["weight"] = lambda: None  # can't be pickled
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(tmp_path, broken, MINE)
    assert num_epochs(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


@pytest.mark.parametrize("part", ["config", "code", "data"])
def test_another_trials_checkpoint_is_refused(tmp_path, part):
    other = Identity(**{"trial": "u", "config": "c", "code": "v", "data": "d", part: "other"})
    save_checkpoint(tmp_path, state(1), other)
    with pytest.raises(CheckpointError, match=rf"belongs to another trial \(u, not t\): its {part} differ"):
        load_checkpoint(tmp_path, MINE)
