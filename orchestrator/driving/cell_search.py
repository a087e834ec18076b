"""The search of one arm in one cell: hands out (params, seed), takes values back, and chooses in the end."""

from typing import NamedTuple

from orchestrator.driving.candidates import Candidate, choose
from orchestrator.planning.planned import PlannedSearch
from orchestrator.search.space import Params, point_key
from orchestrator.spec.experiment import ArmSearch


class Request(NamedTuple):
    """One training that the search asks for."""

    params: Params
    seed: int
    is_race: bool
    """Whether it may be stopped early."""


class CellSearch:
    """Proposes, collects, chooses. Pure: whoever trains calls `next_request` and `ended`.

    With early stopping the first seed of every candidate runs in the race; a candidate that is stopped there is out,
    one that gets through trains its other seeds in full. So all candidates that can be chosen have the same seeds.

    Attributes:
        planned: cell, arm and budget.
        failures: why candidates failed, in order.
    """

    def __init__(self, planned: PlannedSearch, config: ArmSearch) -> None:
        self.planned = planned
        self.failures: list[str] = []
        self._has_race = config.early_stopping.halving is not None
        self._proposer = config.algorithm.build(config.space, num_candidates=config.num_candidates)
        self._candidates: list[Candidate] = []
        self._handed_out: set[tuple[int, int]] = set()
        self._is_dry = False

    @property
    def num_proposed(self) -> int:
        """Candidates so far."""
        return len(self._candidates)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train; asks for no further candidate before all others have ended."""
        return self._is_dry and all(candidate.has_ended() for candidate in self._candidates)

    def restore(self, params: Params) -> None:
        """A candidate from before the driver's restart, in the order of proposal; `ended` follows for its seeds.

        Where each restored candidate is told of before the next one, what is proposed then is what would have been
        proposed without the restart by a driver that trains one after another.
        """
        if self._find(params) is None:
            self._proposer.restore(params)
            self._candidates.append(Candidate(params, self.planned.seeds))

    def next_request(self) -> Request | None:
        """What to train next (`None`: nothing now; if not `is_over`, what runs has to end first)."""
        for index, candidate in enumerate(self._candidates):
            request = self._next_of(index, candidate)
            if request is not None:
                return request
        params = None if self._is_dry else self._proposer.propose()
        if params is None:
            self._is_dry = True
            return None
        self._candidates.append(Candidate(params, self.planned.seeds))
        return self._next_of(len(self._candidates) - 1, self._candidates[-1])

    def ended(self, params: Params, seed: int, value: float | None, failure: str = "") -> None:
        """A training ended.

        Args:
            params: the candidate's.
            seed: which of its seeds.
            value: best validation value, higher is better (`None`: it failed or was stopped early).
            failure: why it failed (empty: it did not).
        """
        candidate = self._find(params)
        if candidate is None or candidate.has_ended():
            return
        if failure:
            self.failures.append(failure)
        if value is None:
            candidate.is_dropped = True
        else:
            candidate.values[seed] = value
        if candidate.has_ended():
            self._proposer.observe(params, candidate.score)

    def choose(self) -> Params | None:
        """The best candidate's params (`None`: none has trained all its seeds)."""
        best = choose(self._candidates)
        return None if best is None else best.params

    def _next_of(self, index: int, candidate: Candidate) -> Request | None:
        if candidate.has_ended():
            return None
        first = candidate.seeds[0]
        for seed in candidate.seeds:
            if self._has_race and seed != first and first not in candidate.values:
                return None
            if seed not in candidate.values and (index, seed) not in self._handed_out:
                self._handed_out.add((index, seed))
                return Request(candidate.params, seed, is_race=self._has_race and seed == first)
        return None

    def _find(self, params: Params) -> Candidate | None:
        key = point_key(params)
        return next((candidate for candidate in self._candidates if point_key(candidate.params) == key), None)
