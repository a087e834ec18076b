"""Who proposes params for one cell and arm: the contract, and the proposer of candidates that are known beforehand.

Life of a proposer: `propose` for the first candidate, and on; `observe` whenever a candidate ended, in any order.
After a restart of the driver the candidates already in the database are given back by `restore`, in the order of
their proposal, and `propose` goes on behind them.
"""

from abc import ABC, abstractmethod

from orchestrator.search.space import Params, point_key


class Proposer(ABC):
    """Proposes one candidate after another."""

    @abstractmethod
    def propose(self) -> Params | None:
        """The next candidate's params (`None`: there are no more)."""

    @abstractmethod
    def observe(self, params: Params, score: float | None) -> None:
        """A candidate ended with this score; higher is better (`None`: it failed or was stopped early)."""

    @abstractmethod
    def restore(self, params: Params) -> None:
        """This candidate was proposed before the driver's restart; `observe` follows if it has ended."""


class ListedProposer(Proposer):
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
