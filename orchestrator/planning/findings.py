"""What is wrong with a spec's trials, each thing once, however many trials share it."""

from orchestrator.errors import Problem, SpecError
from orchestrator.statistics.comparison import Cell


class Findings:
    """Collects problems while all trials are looked at, and raises them together."""

    def __init__(self) -> None:
        self._trials: dict[Problem, list[str]] = {}

    def add(self, pointer: str, message: str) -> None:
        """Note a problem that belongs to no single trial."""
        self._trials.setdefault(Problem(pointer, message), [])

    def add_for_trial(self, pointer: str, message: str, *, cell: Cell, arm: str) -> None:
        """Note a problem of one cell and arm."""
        self._trials.setdefault(Problem(pointer, message), []).append(f"arm `{arm}` in cell `{cell.key}`")

    def raise_if_any(self) -> None:
        """Raise what was found.

        Raises:
            SpecError: with one problem per place and message; it names the first trial and counts the others.
        """
        if self._trials:
            raise SpecError([_named(problem, trials) for problem, trials in self._trials.items()])


def _named(problem: Problem, trials: list[str]) -> Problem:
    if not trials:
        return problem
    others = f" (and {len(trials) - 1} more)" if len(trials) > 1 else ""
    return Problem(problem.pointer, f"{trials[0]}{others}: {problem.message}")
