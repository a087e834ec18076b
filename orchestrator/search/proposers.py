"""Who proposes params for one cell and arm: the contract, and the proposer of candidates that are known beforehand.

Life of a proposer: `propose` for the first candidate, and on; `observe` whenever a candidate ended, in any order.
After a restart of the driver the candidates already in the database are given back by `restore`, in the order of
their proposal, and `propose` goes on behind them.
"""

from typing import Protocol

from orchestrator.search.algorithms import GridSearch, OptunaSearch, RandomSearch
from orchestrator.search.listed_candidates import listed_candidates
from orchestrator.search.optuna_proposer import OptunaProposer
from orchestrator.search.space import Params, Space, point_key


class Proposer(Protocol):
    """Proposes one candidate after another."""

    def propose(self) -> Params | None:
        """The next candidate's params (`None`: there are no more)."""

    def observe(self, params: Params, score: float | None) -> None:
        """A candidate ended with this score; higher is better (`None`: it failed or was stopped early)."""

    def restore(self, params: Params) -> None:
        """This candidate was proposed before the driver's restart; `observe` follows if it has ended."""


class ListedProposer:
    """Candidates that are known beforehand: they depend on the spec alone, never on results."""

    def __init__(self, candidates: list[Params]) -> None:
        self._waiting = candidates

    def propose(self) -> Params | None:
        """The next candidate of the list."""
        return self._waiting.pop(0) if self._waiting else None

    def observe(self, params: Params, score: float | None) -> None:
        """Results change nothing."""

    def restore(self, params: Params) -> None:
        """Take the candidate off the list."""
        key = point_key(params)
        self._waiting = [waiting for waiting in self._waiting if point_key(waiting) != key]


def make_proposer(
    algorithm: GridSearch | RandomSearch | OptunaSearch, space: Space, *, num_candidates: int
) -> Proposer:
    """The proposer that a spec asks for.

    Args:
        algorithm: who proposes.
        space: what may vary.
        num_candidates: points to propose at most; a grid brings its own number.
    """
    if isinstance(algorithm, OptunaSearch):
        return OptunaProposer(algorithm, space, num_candidates=num_candidates)
    return ListedProposer(listed_candidates(algorithm, space, num_candidates=num_candidates))
