"""A worker with other code or data than whoever planned the trial trains nothing."""

import pytest

from trainers.errors import DataError, OtherVersionError, TrainerError
from trainers.planned_identity import PlannedIdentity
from trainers.runtime import Runtime
from trainers.training.checkpoint import Identity
from trainers.training.trial import train


@pytest.fixture
def here(trial) -> Identity:
    config = trial()
    return Identity.of(config, data_fingerprint=config.dataset.fingerprint(None))


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("0ther", OtherVersionError, ".version {here.code}. is not that which trial 0ld was planned with "),
        (None, OtherVersionError, r"was planned with \(version unknown\)"),
        ("same", DataError, "the data here .fingerprint {here.data}. are not those that trial 0ld was planned with"),
    ],
)
def test_another_plan_is_refused_before_anything_is_written(
    here: Identity, trial, tmp_path, code: str | None, error: type[TrainerError], words: str
) -> None:
    planned = PlannedIdentity(trial="0ld", code=here.code if code == "same" else code)
    with pytest.raises(error, match=words.format(here=here)):
        train(trial(), Runtime(device="cpu", storage=tmp_path / "trial", planned=planned))
    assert not (tmp_path / "trial").exists()


def test_the_plan_itself_is_trained(here: Identity, trial) -> None:
    planned = PlannedIdentity(trial=here.trial, code=here.code)
    result = train(trial(), Runtime(device="cpu", planned=planned))
    assert result.provenance["trial"] == planned.trial
