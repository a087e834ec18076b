"""What a trial has put out while it trained, from its folder; a reused one, where it was trained."""

from pathlib import Path

from orchestrator.planning.hardware import Hardware
from orchestrator.store.tables import TrialRow
from orchestrator.stored.files import find_trial_file
from trainers.trial_log import LOG, RANK_LOGS


def read_log(row: TrialRow, storage: Path, hardware: Hardware) -> str | None:
    """The log, with those of processes that shared the training after it (`None`: there is none).

    Args:
        row: the trial.
        storage: folder of the trials' folders.
        hardware: what the trial was to run on.
    """
    file = find_trial_file(row, storage, LOG, hardware=hardware)
    if file is None:
        return None
    ranks = sorted(file.parent.glob(RANK_LOGS), key=lambda log: (len(log.name), log.name))
    parts = [_text(file), *(f"\n---- {log.name} ----\n{_text(log)}" for log in ranks)]
    return "".join(parts)


def _text(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "backslashreplace")
