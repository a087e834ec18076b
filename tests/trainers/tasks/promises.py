"""What a trial of every task has to keep."""

from pathlib import Path

from tests.trainers.interruption import in_pieces
from tests.trainers.test_loop import CPU, assert_same_weights, stored
from trainers.config import TrialConfig
from trainers.training.trial import train


def assert_goes_on_bit_by_bit(config: TrialConfig, folder: Path, *, looks: int, more_often_than: int) -> None:
    """Interrupted after every so many looks, in the middle of epochs too, it ends in the weights of a whole run."""
    train(config, stored(folder / "whole"))
    *_, interruptions = in_pieces(config, stored(folder / "pieces"), looks)
    assert interruptions > more_often_than
    assert_same_weights(folder / "pieces", folder / "whole")


def assert_equal_arms_differ_by_exactly_nothing(config: TrialConfig, again: TrialConfig) -> None:
    """The same training under two identities."""
    first, second = train(config, CPU), train(again, CPU)
    names = [name for name in first.metrics if name.startswith(("test/", "best_val/"))]
    assert {name: first.metrics[name] - second.metrics[name] for name in names} == dict.fromkeys(names, 0.0)
