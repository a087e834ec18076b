"""The grid: every combination of listed values."""

import itertools
from math import prod
from typing import Literal

from orchestrator.search.algorithm import SearchAlgorithm
from orchestrator.search.proposer import ListedProposer
from orchestrator.search.space import Choice, Params, Space


class GridSearch(SearchAlgorithm):
    """Every combination of the listed values."""

    kind: Literal["grid"] = "grid"

    def num_points(self, space: Space, *, num_candidates: int) -> int:
        """All combinations, whatever is asked for."""
        return prod(len(choice.values) for choice in space.values() if isinstance(choice, Choice))

    def complaints(self, space: Space) -> dict[str, str]:
        """Ranges have no end of values."""
        return {
            path: f"a grid needs listed values: use `choice` instead of `{values.kind}`"
            for path, values in space.items()
            if not isinstance(values, Choice)
        }

    def listed(self, space: Space, *, num_candidates: int) -> list[Params]:
        """The grid."""
        return grid(space)

    def build(self, space: Space, *, num_candidates: int) -> ListedProposer:
        """The grid's points, one after another."""
        return ListedProposer(grid(space))


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
