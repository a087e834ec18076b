"""What a phase has to train: the contract between the phases and Ray Tune."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from orchestrator.search.space import Params
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.tables import TrialRow
from trainers.planned_identity import PlannedIdentity


@dataclass(frozen=True)
class OpenTrial:
    """One trial that is to be trained."""

    row_id: int
    identity: str
    cell: str
    """Key of the cell."""
    arm: str
    seed: int
    phase: Phase
    params: Params
    config: str
    """Canonical JSON of the TrialConfig."""
    code: str | None = None
    """Version of the code that it was planned with (`None`: not kept)."""
    arms: str = ""
    """All arms of its cell and seed, to be compared before it is trained: JSON of `Arms` (empty: it need not)."""
    race: str = ""
    """Trials of one race are ranked against each other and may be stopped early (empty: no race)."""

    @classmethod
    def of(cls, row: TrialRow, *, race: str = "") -> "OpenTrial":
        """What a row asks for."""
        return cls(
            row.id,
            row.identity,
            row.cell,
            row.arm,
            row.seed,
            Phase(row.phase),
            row.params,
            row.config,
            row.code,
            race=race,
        )

    @property
    def planned(self) -> PlannedIdentity:
        """What it must be where it is trained."""
        return PlannedIdentity(trial=self.identity, code=self.code)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.cell}/{self.arm}/seed{self.seed}"


@dataclass(frozen=True)
class Ending:
    """What became of a trial."""

    status: TrialStatus
    metrics: dict[str, float]
    """Final metrics (empty: it has none)."""
    error: str = ""
    has_unequal_arms: bool = False
    """Whether it was not trained because arms of its cell start otherwise than what they change explains."""


@dataclass(frozen=True)
class RaceRules:
    """When a candidate falls behind (asynchronous successive halving)."""

    metric: str
    """Metric of every epoch, such as `val/top1`."""
    grace_epochs: int
    """Epochs that every candidate may train."""
    reduction_factor: float
    """One in so many survives a rung."""
    past: tuple[tuple[tuple[int, float], ...], ...] = ()
    """Those that ended under an earlier attempt of the driver: (epoch, value) pairs of each."""


class Work(Protocol):
    """The trials of a phase, one after another."""

    @property
    def races(self) -> Mapping[str, RaceRules]:
        """Name of each race -> its rules."""

    def next_trial(self) -> OpenTrial | None:
        """The next one (`None`: nothing now; if not `is_exhausted`, a running trial has to end first)."""

    @property
    def is_exhausted(self) -> bool:
        """Whether no trial will follow, whatever the running ones bring."""

    def trial_ended(self, trial: OpenTrial, ending: Ending) -> None:
        """A trial's row is final."""
