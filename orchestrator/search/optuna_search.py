"""Optuna, as a spec names it; `optuna_proposer` asks it."""

import math
from typing import Literal

from pydantic import Field

from orchestrator.search.algorithm import SearchAlgorithm
from orchestrator.search.proposer import Proposer
from orchestrator.search.space import Choice, Space

_GENERATIONS = 3
"""With fewer, CMA-ES has hardly begun to learn."""


class OptunaSearch(SearchAlgorithm):
    """Optuna: each candidate is proposed in the light of those that have ended."""

    kind: Literal["optuna"] = "optuna"
    sampler: Literal["tpe", "cma_es"] = "tpe"
    """`tpe`: tree-structured Parzen estimator, for any space and few candidates; `cma_es`: covariance matrix
    adaptation, for ranges only, and for several generations of candidates."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the sampler."""

    @property
    def words(self) -> str:
        """`optuna (tpe)`."""
        return f"optuna ({self.sampler})"

    def complaints(self, space: Space) -> dict[str, str]:
        """CMA-ES moves through numbers."""
        if self.sampler != "cma_es":
            return {}
        message = (
            "CMA-ES can't search listed values: use `uniform`, `log_uniform` or `int_uniform` instead of `choice`, or "
            "the sampler `tpe`"
        )
        return {path: message for path, values in space.items() if isinstance(values, Choice)}

    def caveat(self, space: Space, *, num_points: int) -> str | None:
        """CMA-ES learns only after whole generations."""
        generation = _cma_es_generation(len(space))
        if self.sampler != "cma_es" or num_points >= _GENERATIONS * generation:
            return None
        return (
            f"proposes {num_points} candidates by CMA-ES, which learns only after each generation of {generation}; "
            f"give it at least {_GENERATIONS * generation}, or use the sampler `tpe`"
        )

    def build(self, space: Space, *, num_candidates: int) -> Proposer:
        """Asks Optuna."""
        # A second of imports that a plan need not pay.
        from orchestrator.search.optuna_proposer import OptunaProposer  # noqa: PLC0415

        return OptunaProposer(self.sampler, space, seed=self.seed, num_candidates=num_candidates)


def _cma_es_generation(num_dimensions: int) -> int:
    """Candidates after which CMA-ES learns for the first time (the default of the `cmaes` package)."""
    return 4 + int(3 * math.log(num_dimensions))
