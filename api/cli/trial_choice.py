"""Which trial of an experiment a command means: by arm and seed, as people speak of it, or by its id."""

import difflib
from collections.abc import Callable, Iterable
from typing import Annotated, NamedTuple

import typer

from api.cli.terminal import Exit, complain
from api.client import Client
from orchestrator.service.views import TrialView
from orchestrator.status import Phase

Arm = Annotated[str | None, typer.Option(help="The trial's arm.")]
Seed = Annotated[int | None, typer.Option(help="The trial's seed.")]
CellName = Annotated[
    str | None, typer.Option("--cell", help="The trial's cell, as MODEL/DATASET, where the experiment has several.")
]
TrialId = Annotated[
    int | None,
    typer.Option("--trial", help="The trial's id, in place of arm and seed (also for the candidates of a search)."),
]


class TrialChoice(NamedTuple):
    """What the user has said of the trial."""

    arm: str | None
    seed: int | None
    cell: str | None
    trial: int | None

    def is_made(self) -> bool:
        """Whether a trial is meant at all."""
        return any(each is not None for each in self)

    def find(self, client: Client, experiment_id: str) -> TrialView:
        """The one trial.

        Raises:
            typer.Exit: there is none, or several; says which there are.
        """
        trials: Iterable[TrialView] = client.trials(experiment_id)
        if not trials:
            complain(f"experiment {experiment_id} has no trials yet")
            raise typer.Exit(Exit.REFUSED)
        for name, wanted, of in _QUESTIONS:
            asked = wanted(self)
            if asked is not None:
                trials = _narrowed(trials, name, asked, of)
        found = list(trials)
        # The trials of a search share arms and seeds: who names no id means those of the table.
        found = [trial for trial in found if trial.phase is Phase.CONFIRM] or found
        if len(found) > 1:
            complain("several trials match; say which one is meant:\n" + _listed(found))
            raise typer.Exit(Exit.USAGE)
        return found[0]


_QUESTIONS: tuple[tuple[str, Callable[[TrialChoice], str | int | None], Callable[[TrialView], str | int]], ...] = (
    ("trial", lambda choice: choice.trial, lambda trial: trial.id),
    ("cell", lambda choice: choice.cell, lambda trial: trial.cell.key),
    ("arm", lambda choice: choice.arm, lambda trial: trial.arm),
    ("seed", lambda choice: choice.seed, lambda trial: trial.seed),
)


def _narrowed(
    trials: Iterable[TrialView], name: str, wanted: str | int, of: Callable[[TrialView], str | int]
) -> list[TrialView]:
    given = list(trials)
    left = [trial for trial in given if of(trial) == wanted]
    if not left:
        there = list(dict.fromkeys(str(of(trial)) for trial in given))
        near = difflib.get_close_matches(str(wanted), there, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        shown = ", ".join(there[:12]) + (", ..." if len(there) > 12 else "")
        complain(f"no trial has --{name} {wanted}{hint} There {'is' if len(there) == 1 else 'are'} {shown}")
        raise typer.Exit(Exit.USAGE)
    return left


def _listed(trials: list[TrialView], most: int = 12) -> str:
    lines = [f"  --trial {trial.id}  {trial.cell.key}  {trial.arm}  seed {trial.seed}" for trial in trials[:most]]
    return "\n".join([*lines, f"  ... and {len(trials) - most} more"] if len(trials) > most else lines)
