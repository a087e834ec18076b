"""What is shown of experiments: output only, never stored, free of SQL."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, JsonValue

from orchestrator.search.space import Params
from orchestrator.statistics.comparison import Cell
from orchestrator.status import ExperimentStatus, Phase, TrialStatus


class View(BaseModel):
    """Base of all views. Readers ignore fields that a newer service may add."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Condition(View):
    """One thing that is well or not, and why."""

    type: str
    """What is looked at, such as `driver`, `trials`, `tracking`, `database`, `ray`, `mlflow`."""
    ok: bool
    """Whether it is well."""
    reason: str
    """Why, for people."""


class Progress(View):
    """How far an experiment is, in trials and pairs."""

    trials_total: int
    """Trials of both phases that the plan asks for."""
    trials_done: int
    """Those that ended well: succeeded, or stopped early by their search."""
    trials_failed: int
    """Those that ended without a result."""
    trials_reused: int
    """Those of `trials_done` that an identical, earlier trial stands in for."""
    trials_running: int
    """Those that train right now."""
    pairs_total: int
    """Pairs of the confirm phase."""
    pairs_complete: int
    """Pairs whose control and treatment both succeeded."""
    cpu_hours_used: float = 0.0
    """CPU core hours of training by trials that have ended; what stands in from elsewhere took none."""
    cpu_hours_expected: float | None = None
    """CPU core hours once all planned trials have trained: an estimate from those that have (`null`: none tells)."""
    gpu_hours_used: float = 0.0
    """GPU hours of the same training."""
    gpu_hours_expected: float | None = None
    """GPU hours once all planned trials have trained."""


class ExperimentView(View):
    """Where an experiment stands."""

    id: str
    """Its id; newer experiments have greater ones."""
    name: str
    """Name of the experiment (and of the MLflow experiment)."""
    digest: str
    """Digest of the canonical spec, code version and data fingerprints: names the result."""
    status: ExperimentStatus
    """Where it stands."""
    reason: str
    """Why the status is what it is, for people."""
    question: str
    """The question in words."""
    data_found: dict[str, str] = {}
    """Data set -> what was found where it lies, in one line."""
    created_at: datetime
    """When it was submitted (UTC)."""
    updated_at: datetime
    """When its status last changed (UTC)."""
    ended_at: datetime | None
    """When it ended (UTC; `null`: not yet)."""
    expected_end_at: datetime | None = None
    """When it will end (UTC): an estimate (`null`: it does not train, or too little is known)."""
    expected_end_basis: str = ""
    """What the estimate rests on, for people."""
    attempt: int
    """Executions of its driver so far."""
    progress: Progress
    """How far it is."""
    conditions: tuple[Condition, ...]
    """What is well and what is not (empty in lists)."""
    control: str = ""
    """Name of the control arm."""
    arm_labels: dict[str, str] = {}
    """Name of an arm -> what people read in its place, of the arms that have a label (empty in lists)."""
    mlflow_url: str | None
    """Link to its runs in MLflow (`null`: nothing is there yet)."""


class Standing(NamedTuple):
    """Where an experiment stands, without its counts: for who asks often."""

    status: ExperimentStatus
    """Where it stands."""
    reason: str
    """Why, for people."""
    attempt: int
    """Executions of its driver so far."""
    updated_at: datetime
    """When its status last changed (UTC)."""


class Origin(StrEnum):
    """Where the experiment comes from that a spec handed in is answered with."""

    NEW = "new"
    """It was stored just now."""
    REPLAY = "replay"
    """An earlier call with the same idempotency key has stored it."""
    TWIN = "twin"
    """The same question (spec, code and data) was on its way already."""


class Submission(NamedTuple):
    """What became of a spec that was handed in."""

    view: ExperimentView
    """The experiment."""
    origin: Origin
    """Where it comes from."""


class ExperimentPage(View):
    """Some experiments, newest first."""

    items: tuple[ExperimentView, ...]
    """The experiments of this page."""
    next_cursor: str | None
    """Leads to the next page (`null`: this is the last one)."""


class TrialView(View):
    """One training of an experiment."""

    id: int
    """Its id."""
    identity: str
    """Digest over config, code and data."""
    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    seed: int
    """The replicate."""
    phase: Phase
    """`search` or `confirm`."""
    params: Params
    """The arm's chosen or proposed params (empty without a search)."""
    status: TrialStatus
    """Where it stands."""
    error: str
    """Why it failed, was stopped or cancelled."""
    attempt: int
    """Executions so far."""
    metrics: dict[str, float]
    """Final metrics (accuracies are fractions; empty: no result yet)."""
    training_seconds: float | None
    """Wall time of all epochs."""
    reused_from: str | None
    """Experiment whose identical trial stands in for this one."""
    started_at: datetime | None
    """When it first started (UTC)."""
    ended_at: datetime | None
    """When it ended (UTC)."""
    mlflow_run_id: str | None
    """Its run in MLflow (`null`: none yet)."""


class EventView(View):
    """Something that happened to an experiment."""

    id: int
    """Greater than that of every event of this experiment before it."""
    kind: str
    """`status`, `trial`, `epoch`, `pair`, `end`."""
    payload: dict[str, JsonValue]
    """What happened; depends on the kind."""
    created_at: datetime
    """When (UTC)."""
