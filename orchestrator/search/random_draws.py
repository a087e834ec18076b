"""Independent random draws."""

import math
import random
from typing import Literal

from pydantic import Field, JsonValue

from orchestrator.search.algorithm import SearchAlgorithm
from orchestrator.search.proposer import ListedProposer
from orchestrator.search.space import Choice, Distribution, IntUniform, LogUniform, Params, Space, Uniform, point_key


class RandomSearch(SearchAlgorithm):
    """Independent draws."""

    kind: Literal["random"] = "random"
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the draws."""

    def listed(self, space: Space, *, num_candidates: int) -> list[Params]:
        """All draws."""
        return random_draws(space, num_candidates=num_candidates, seed=self.seed)

    def build(self, space: Space, *, num_candidates: int) -> ListedProposer:
        """The draws, one after another."""
        return ListedProposer(self.listed(space, num_candidates=num_candidates))


def random_draws(space: Space, *, num_candidates: int, seed: int) -> list[Params]:
    """Independent draws, the same for the same seed; a point drawn twice is kept once."""
    generator = random.Random(seed)  # noqa: S311 (no secret)
    candidates: dict[str, Params] = {}
    for _ in range(num_candidates):
        params = {path: _draw(distribution, generator) for path, distribution in space.items()}
        candidates.setdefault(point_key(params), params)
    return list(candidates.values())


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
