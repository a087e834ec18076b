"""Failures that are all alike: what goes wrong is not the trials', and the others would fail, too."""

import re

from orchestrator.driving.work import Ending
from orchestrator.status import TrialStatus


class FailureStreak:
    """Life: `note` the end of each trial, as it comes; `is_over` as soon as there were too many equal failures."""

    def __init__(self, longest: int) -> None:
        """So many equal failures in a row are too many."""
        self._longest = longest
        self._number = 0
        self._kind = ""
        self.error = ""
        """The last failure, in its own words."""

    @property
    def is_over(self) -> bool:
        """Whether it is no use to go on."""
        return self._number >= self._longest

    def note(self, ending: Ending) -> None:
        """A trial has ended."""
        if ending.status is not TrialStatus.FAILED:
            self._number = 0
            return
        # Of another arm, seed, epoch or step, it is the same failure.
        kind = re.sub(r"\d+", "#", re.sub(r"^arm .*?, seed \S+: ", "", ending.error))
        self._number = self._number + 1 if kind == self._kind else 1
        self._kind, self.error = kind, ending.error
