"""Who proposes the params of a search: what every kind of algorithm answers."""

from abc import ABC, abstractmethod

from orchestrator.search.proposer import Proposer
from orchestrator.search.space import Params, Space
from trainers.strict import StrictModel, kind_of


class SearchAlgorithm(StrictModel, ABC):
    """A search algorithm, as a spec names it. A kind is one file here and one line in `orchestrator.search.kinds`.

    It sees validation scores only. `orchestrator.contracts.SearchAlgorithmContract` asks what holds for every kind.
    """

    @property
    def words(self) -> str:
        """What reports call it, and by what two searches are told apart."""
        return kind_of(type(self))

    def num_points(self, space: Space, *, num_candidates: int) -> int:
        """How many points it will propose, at most.

        Args:
            space: what may vary.
            num_candidates: what the user asks for.
        """
        return num_candidates

    def complaints(self, space: Space) -> dict[str, str]:
        """Path of the space -> why this algorithm can't draw from its distribution."""
        return {}

    def caveat(self, space: Space, *, num_points: int) -> str | None:
        """What a careful reader should know of so few points in this space, to be read behind `the search of ...`."""
        return None

    def listed(self, space: Space, *, num_candidates: int) -> list[Params] | None:
        """All points, where they depend on no result and can be checked before anything runs (`None`: they do)."""
        return None

    @abstractmethod
    def build(self, space: Space, *, num_candidates: int) -> Proposer:
        """The proposer of one cell and arm.

        The same search proposes the same points again: it draws from its own seed, and a restored proposer goes on as
        the first one would have.

        Args:
            space: what may vary; without `complaints`.
            num_candidates: points to propose at most, where it brings no number of its own.
        """
