"""What stands beside the bar while an experiment runs."""

from api.cli.watching import _now

EPOCH = {"arm": "gaussian", "seed": 3, "epoch": 3, "metrics": {"val/top1": 0.517}}


def test_the_newest_epoch_is_told_in_the_words_of_its_task() -> None:
    assert _now(EPOCH | {"told": "val top-1 51.7 %"}) == "gaussian seed 3, epoch 4, val top-1 51.7 %"


def test_an_event_of_an_earlier_version_tells_the_epoch_alone() -> None:
    assert _now(EPOCH) == "gaussian seed 3, epoch 4"
