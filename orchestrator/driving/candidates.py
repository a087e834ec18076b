"""What is known about the candidates of one search, and which of them is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.search.space import Params


@dataclass
class Candidate:
    """One point of the space and the best validation value of each of its seeds."""

    params: Params
    seeds: tuple[int, ...]
    """Seeds to train, in order."""
    values: dict[int, float] = field(default_factory=dict)
    """seed -> value, higher is better; only seeds that trained to the end."""
    is_dropped: bool = False
    """A seed failed or was stopped early; the candidate can't be chosen and gets no more seeds."""

    def has_ended(self) -> bool:
        """Whether nothing more is to be learned about it."""
        return self.is_dropped or len(self.values) == len(self.seeds)

    @property
    def score(self) -> float | None:
        """Mean over its seeds (`None`: it has not trained all of them)."""
        if self.is_dropped or len(self.values) < len(self.seeds):
            return None
        return sum(self.values.values()) / len(self.values)


def choose(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate with the best mean; of equals the one proposed first (`None`: no candidate has a score)."""
    scored = [(candidate.score, candidate) for candidate in candidates]
    best = max((score for score, _ in scored if score is not None), default=None)
    return next((candidate for score, candidate in scored if score is not None and score == best), None)
