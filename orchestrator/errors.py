"""What can go wrong between a spec and its report.

    OrchestratorError
    |- SpecError               a spec that can't be run; carries every problem, each with its place
    |- ExperimentNotFoundError no experiment has this id
    |- TrialNotFoundError      no trial has this id
    |- WeightsNotFoundError    a trial has no weights to export, or they can't be reached
    |- MapNotFoundError        no receptive field or position bias of this name, or none at all can be read
    |- StatusConflictError     the experiment's status forbids what was asked (cancel of a finished one, ...)
    |- IdempotencyConflictError  an Idempotency-Key came back with another body
    |- IdempotencyInFlightError  the first request with this Idempotency-Key is not answered yet
    |- StaleAttemptError       a driver that has been replaced tries to write
    |- RayUnavailableError     Ray's dashboard does not answer, or refuses
    |- ProxyUnusableError      the environment names a proxy that can't be used (orchestrator/proxies.py)
    |- StoreError              the database is not reachable, or holds another schema
       |- StateLostError       the database's file or a folder of the service was removed while it runs
       |- OldSchemaError       an earlier version's database, or an empty one, asked by who must not change it

Each class has a stable `code`; `api/errors.py` maps them to HTTP in one place.
"""

from typing import NamedTuple


class OrchestratorError(Exception):
    """Base of all errors that this package raises on purpose."""

    code = "orchestrator_error"


class Problem(NamedTuple):
    """One thing that is wrong with a spec."""

    pointer: str
    """JSON pointer to the place in the spec, such as `/arms/1/patch/attention_bias/sigma`."""
    message: str
    """What was wrong and what would be right."""


class SpecError(OrchestratorError):
    """A spec that can't be run."""

    code = "spec_invalid"

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{problem.pointer or '/'}: {problem.message}" for problem in problems))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the problems, not by the message."""
        return SpecError, (self.problems,)


class ExperimentNotFoundError(OrchestratorError):
    """No experiment has this id."""

    code = "experiment_not_found"


class TrialNotFoundError(OrchestratorError):
    """No trial has this id."""

    code = "trial_not_found"


class WeightsNotFoundError(OrchestratorError):
    """A trial has no weights to export, or they can't be reached."""

    code = "weights_not_found"


class MapNotFoundError(OrchestratorError):
    """No receptive field or position bias of this name, or none at all can be read."""

    code = "map_not_found"


class StatusConflictError(OrchestratorError):
    """The experiment's status forbids what was asked."""

    code = "status_conflict"


class IdempotencyConflictError(OrchestratorError):
    """An Idempotency-Key came back with another body."""

    code = "idempotency_key_reused"


class IdempotencyInFlightError(OrchestratorError):
    """The first request with this Idempotency-Key is not answered yet."""

    code = "idempotency_key_in_flight"


class StaleAttemptError(OrchestratorError):
    """A driver attempt that has been replaced tried to write; it must stop."""

    code = "attempt_stale"


class RayUnavailableError(OrchestratorError):
    """Ray's dashboard does not answer, or refuses."""

    code = "ray_unavailable"


class StoreError(OrchestratorError):
    """The database is not reachable, or holds another schema."""

    code = "store_unavailable"


class StateLostError(StoreError):
    """The database's file or a folder of the service was removed or replaced while it runs."""

    code = "state_lost"


class OldSchemaError(StoreError):
    """A database was to be read as it is, and has no tables yet or those of an earlier version.

    Attributes:
        version: its schema's (`None`: it has no tables).
    """

    code = "schema_old"

    def __init__(self, version: str | None, newest: str) -> None:
        self.version, self.newest = version, newest
        found = "has no tables yet" if version is None else f"has schema {version}"
        super().__init__(f"the database {found}, and this version of sigmalab reads schema {newest}")
