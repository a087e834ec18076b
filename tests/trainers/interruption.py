"""Trainings that are interrupted at known moments, on any device."""

import threading

from trainers.config import TrialConfig
from trainers.errors import InterruptedTrainingError
from trainers.result import EpochReport, TrialResult
from trainers.runtime import Runtime
from trainers.training.trial import train


class AfterLooks(threading.Event):
    """Is set from its n-th look on: a signal that comes at a known moment."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def is_set(self) -> bool:
        self.number -= 1
        return self.number <= 0


def in_pieces(config: TrialConfig, runtime: Runtime, looks: int) -> tuple[TrialResult, list[EpochReport], int]:
    """Train with an interruption after every so many looks: the result, all reports, and how often it was interrupted.

    A look follows each step, each batch of validation and each epoch; there must be more than a validation has.
    """
    reports: list[EpochReport] = []
    for interruptions in range(100):
        try:
            return train(config, runtime, on_epoch=reports.append, stop=AfterLooks(looks)), reports, interruptions
        except InterruptedTrainingError:
            continue
    raise AssertionError("it comes to no end")
