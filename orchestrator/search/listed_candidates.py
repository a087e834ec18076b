"""Candidates that are known before anything runs: the grid and the random draws."""

import itertools
import math
import random

from pydantic import JsonValue

from orchestrator.search.algorithms import GridSearch, RandomSearch
from orchestrator.search.space import Choice, Distribution, IntUniform, LogUniform, Params, Space, Uniform, point_key


def listed_candidates(algorithm: GridSearch | RandomSearch, space: Space, *, num_candidates: int) -> list[Params]:
    """All candidates of a search that no result can change."""
    if isinstance(algorithm, GridSearch):
        return grid(space)
    return random_draws(space, num_candidates=num_candidates, seed=algorithm.seed)


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
