"""Who proposes params for one cell and arm: the contract, the grid and the random draws.

Life of a proposer: `propose` for the first candidate, and on; `observe` whenever a candidate ended, in any order.
After a restart of the driver the candidates already in the database are given back by `restore`, in the order of
their proposal, and `propose` goes on behind them.
"""

import itertools
import math
import random
from typing import Protocol

from pydantic import JsonValue

from orchestrator.search.algorithms import GridSearch, OptunaSearch, RandomSearch
from orchestrator.search.optuna_proposer import OptunaProposer
from orchestrator.search.space import Choice, Distribution, IntUniform, LogUniform, Params, Space, Uniform


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
        if params in self._waiting:
            self._waiting.remove(params)


def make_proposer(
    algorithm: GridSearch | RandomSearch | OptunaSearch, space: Space, *, num_candidates: int
) -> Proposer:
    """The proposer that a spec asks for.

    Args:
        algorithm: who proposes.
        space: what may vary.
        num_candidates: points to propose at most; a grid brings its own number.
    """
    match algorithm:
        case GridSearch():
            return ListedProposer(grid(space))
        case RandomSearch(seed=seed):
            return ListedProposer(random_draws(space, num_candidates=num_candidates, seed=seed))
        case OptunaSearch():
            return OptunaProposer(algorithm, space, num_candidates=num_candidates)


def grid(space: Space) -> list[Params]:
    """Every combination of the listed values; the last path varies fastest.

    Raises:
        TypeError: a path's distribution has no list of values (the spec's validation refuses this earlier).
    """
    values = []
    for path, distribution in space.items():
        if not isinstance(distribution, Choice):
            raise TypeError(f"a grid needs listed values; `{path}` is a {distribution.kind}")
        values.append(distribution.values)
    return [dict(zip(space, combination, strict=True)) for combination in itertools.product(*values)]


def random_draws(space: Space, *, num_candidates: int, seed: int) -> list[Params]:
    """Independent draws, the same for the same seed; a point drawn twice is kept once."""
    generator = random.Random(seed)  # noqa: S311 (no secret)
    candidates: list[Params] = []
    for _ in range(num_candidates):
        params = {path: _draw(distribution, generator) for path, distribution in space.items()}
        if params not in candidates:
            candidates.append(params)
    return candidates


def _draw(distribution: Distribution, generator: random.Random) -> JsonValue:
    match distribution:
        case Uniform(low=low, high=high):
            return generator.uniform(low, high)
        case LogUniform(low=low, high=high):
            # exp(log(high)) may exceed high by one rounding step.
            return min(max(math.exp(generator.uniform(math.log(low), math.log(high))), low), high)
        case IntUniform(low=low, high=high):
            return generator.randint(low, high)
        case Choice(values=values):
            return generator.choice(values)
