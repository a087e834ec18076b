import logging

import pytest
import torch

from trainers.errors import CheckpointError
from trainers.models.published import read_state_dict
from trainers.seeding import NoiseState
from trainers.training.checkpoint import (
    BEST_WEIGHTS,
    CHECKPOINT,
    PREVIOUS,
    CheckpointFolder,
    Identity,
    RankState,
    TrainingState,
    find_best_weights,
)
from trainers.training.descent import PartOfEpoch

MINE = Identity(trial="t", config="c", code="v", data="d")


BEST_OF_0 = "best_weights.epoch00000.pt"


def state(epochs, best_epoch=0, ranks=()):
    return TrainingState(
        model={"weight": torch.full((50, 50), float(epochs))},
        optimizer={"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        ema=None,
        best_weights={"weight": torch.full((3,), float(best_epoch))},
        best_epoch=best_epoch,
        reports=["{}"] * epochs,
        kernels={},
        ranks=list(ranks),
    )


def save(folder, state, identity=MINE):
    CheckpointFolder(folder, identity).save(state)


def names(folder):
    return {path.name for path in folder.iterdir()}


def num_epochs(folder):
    found = CheckpointFolder(folder, MINE).load()
    return None if found is None else len(found.reports)


def test_what_is_saved_is_loaded(tmp_path):
    assert CheckpointFolder(tmp_path, MINE).load() is None
    save(tmp_path, state(1))
    found = CheckpointFolder(tmp_path, MINE).load()
    assert torch.equal(found.model["weight"], torch.full((50, 50), 1.0))
    assert found.optimizer == state(1).optimizer
    assert torch.equal(found.best_weights["weight"], torch.zeros(3))
    assert found.ranks == []
    assert names(tmp_path) == {CHECKPOINT, BEST_OF_0}


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
    save(tmp_path, state(1))
    save(tmp_path, state(2))
    assert num_epochs(tmp_path) == 2
    damage(tmp_path / CHECKPOINT)
    with caplog.at_level(logging.WARNING):
        assert num_epochs(tmp_path) == 1
    assert f"{tmp_path / CHECKPOINT} can't be read" in caplog.text
    assert "an earlier state" in caplog.text
    if damage is not flip_a_bit:
        damage(tmp_path / PREVIOUS)
        assert num_epochs(tmp_path) is None


def test_killed_between_two_renames_the_old_one_counts(tmp_path):
    save(tmp_path, state(1))
    (tmp_path / CHECKPOINT).rename(tmp_path / PREVIOUS)
    assert num_epochs(tmp_path) == 1


def test_a_failed_write_leaves_the_old_file(tmp_path):
    save(tmp_path, state(1))
    broken = state(2)
    broken.model["weight"] = lambda: None  # can't be pickled
    with pytest.raises(Exception, match="pickle"):
        save(tmp_path, broken)
    assert num_epochs(tmp_path) == 1
    assert names(tmp_path) == {CHECKPOINT, BEST_OF_0}


@pytest.mark.parametrize("part", ["config", "code", "data"])
def test_another_trials_checkpoint_is_refused(tmp_path, part):
    other = Identity(**{"trial": "u", "config": "c", "code": "v", "data": "d", part: "other"})
    save(tmp_path, state(1), other)
    with pytest.raises(CheckpointError, match=rf"belongs to another trial \(u, not t\): its {part} differ"):
        CheckpointFolder(tmp_path, MINE).load()


def test_the_middle_of_an_epoch_is_loaded_as_it_was_saved(tmp_path):
    part = PartOfEpoch(losses=torch.arange(3.0), seconds=1.5, wait_seconds=0.25)
    noise = NoiseState.of(torch.device("cpu"))
    save(tmp_path, state(0, ranks=[RankState(part, noise, [{"norm.running_mean": torch.ones(2)}])] * 2))
    found = CheckpointFolder(tmp_path, MINE).load().ranks
    assert len(found) == 2
    assert torch.equal(found[1].part.losses, part.losses)
    assert (found[1].part.seconds, found[1].part.wait_seconds, found[1].noise.cuda) == (1.5, 0.25, None)
    assert torch.equal(found[1].statistics[0]["norm.running_mean"], torch.ones(2))
    expected = torch.rand(3)
    found[1].noise.restore(torch.device("cpu"))
    assert torch.equal(torch.rand(3), expected)


def test_a_copy_stays_as_it_is_while_training_goes_on():
    now = state(1)
    copy = now.on_cpu()
    now.model["weight"] += 1
    now.optimizer["state"][0]["step"] += 1
    now.optimizer["param_groups"][0]["lr"] = 0.2
    assert torch.equal(copy.model["weight"], torch.full((50, 50), 1.0))
    assert copy.optimizer == state(1).optimizer


def test_best_weights_are_written_when_they_change_and_removed_when_no_checkpoint_speaks_of_them(tmp_path):
    folder = CheckpointFolder(tmp_path, MINE)
    folder.save(state(1))
    first = (tmp_path / BEST_OF_0).stat()
    folder.save(state(2))
    assert (tmp_path / BEST_OF_0).stat() == first
    folder.save(state(3, best_epoch=2))
    # The previous checkpoint still speaks of epoch 0.
    assert names(tmp_path) == {CHECKPOINT, PREVIOUS, BEST_OF_0, "best_weights.epoch00002.pt"}
    folder.save(state(4, best_epoch=2))
    assert names(tmp_path) == {CHECKPOINT, PREVIOUS, "best_weights.epoch00002.pt"}
    # Of an earlier process, which was killed between its two files: not the same weights as ours, perhaps.
    (tmp_path / "best_weights.epoch00004.pt").write_bytes(b"other weights")
    resumed = CheckpointFolder(tmp_path, MINE)
    assert resumed.load().best_epoch == 2
    resumed.save(state(5, best_epoch=4))
    assert torch.equal(CheckpointFolder(tmp_path, MINE).load().best_weights["weight"], torch.full((3,), 4.0))
    resumed.keep(4, state(5, best_epoch=4).best_weights)
    resumed.clear()
    assert names(tmp_path) == {BEST_WEIGHTS}
    assert find_best_weights(tmp_path) == tmp_path / BEST_WEIGHTS
    assert torch.equal(read_state_dict(tmp_path / BEST_WEIGHTS)["weight"], torch.full((3,), 4.0))


def test_without_its_best_weights_a_checkpoint_is_broken(tmp_path, caplog):
    folder = CheckpointFolder(tmp_path, MINE)
    folder.save(state(1))
    folder.save(state(2, best_epoch=1))
    cut(tmp_path / "best_weights.epoch00001.pt")
    assert num_epochs(tmp_path) == 1
    assert "checkpoint.pt can't be read" in caplog.text


def test_the_checkpoint_of_an_earlier_version_is_refused(tmp_path):
    """It was another code's, whatever it looks like inside."""
    identity = {"trial": "u", "config": "c", "code": "earlier", "data": "d"}
    torch.save(
        {"identity": identity, "state": {"model": {}, "best_weights": {}, "best_epoch": 0}}, tmp_path / CHECKPOINT
    )
    with pytest.raises(CheckpointError, match=r"belongs to another trial .*its code differ"):
        CheckpointFolder(tmp_path, MINE).load()


def test_the_weights_in_a_state_under_way_are_told_where_they_are(tmp_path):
    save(tmp_path, state(1))
    with pytest.raises(
        CheckpointError, match=r"checkpoint\.pt is the state of a trial under way; its best weights so far"
    ):
        read_state_dict(tmp_path / CHECKPOINT)
    assert torch.equal(read_state_dict(tmp_path / BEST_OF_0)["weight"], torch.zeros(3))
    (tmp_path / CHECKPOINT).unlink()
    with pytest.raises(CheckpointError, match=r"a finished trial keeps its weights in best_weights\.pt"):
        read_state_dict(tmp_path / CHECKPOINT)
