"""Optuna by ask and tell, rebuilt from past candidates after a restart.

What is proposed depends on the search's seed, the number of candidates so far and what is known of them: a driver that
was killed goes on with the very points that it would have proposed.
"""

from typing import Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState
from pydantic import JsonValue

from orchestrator.search.proposer import Proposer
from orchestrator.search.space import (
    Choice,
    Distribution,
    IntUniform,
    LogUniform,
    Params,
    Space,
    Uniform,
    point_key,
    value_key,
)

_TRIES, _GUIDED_TRIES = 100, 10
"""So many draws to find a point that is new, in a space of few; so many of them by the sampler, then at random."""


class OptunaProposer(Proposer):
    """Proposes where earlier candidates were good; no point twice."""

    def __init__(self, sampler: Literal["tpe", "cma_es"], space: Space, *, seed: int, num_candidates: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._kind, self._seed = sampler, seed
        self._num_candidates, self._space = num_candidates, space
        self._distributions = optuna_distributions(space)
        self._study = optuna.create_study(direction="maximize")
        self._asked: dict[str, Trial] = {}
        self._scores: dict[str, float | None] = {}

    def propose(self) -> Params | None:
        """Ask Optuna, again if it proposes a known point."""
        if self._num_known >= self._num_candidates:
            return None
        for attempt in range(_TRIES):
            trial = self._ask(attempt)
            params = {path: _decoded(self._space[path], value) for path, value in trial.params.items()}
            key = point_key(params)
            if key not in self._scores and key not in self._asked:
                self._asked[key] = trial
                return params
            self._study.tell(trial, state=TrialState.FAIL)  # samplers leave it out
        return None

    def observe(self, params: Params, score: float | None) -> None:
        """Tell Optuna; a candidate without a score counts as no better than the worst that has one."""
        key = point_key(params)
        trial = self._asked.pop(key)
        told = score
        if score is None and self._kind == "cma_es":
            # It learns from whole generations and leaves out what has no value.
            told = min((known for known in self._scores.values() if known is not None), default=None)
        self._scores[key] = score
        if told is None:
            self._study.tell(trial, state=TrialState.PRUNED)  # TPE ranks it last
        else:
            self._study.tell(trial, told)

    def restore(self, params: Params) -> None:
        """Let Optuna ask for this very point."""
        self._study.enqueue_trial(encoded(self._space, params))
        trial = self._ask(0)
        # Drawn lazily, and not used; but with the draw CMA-ES notes down to which generation the trial belongs.
        _ = trial.relative_params
        self._asked[point_key(params)] = trial

    @property
    def _num_known(self) -> int:
        return len(self._scores) + len(self._asked)

    def _ask(self, attempt: int) -> Trial:
        self._study.sampler = self._sampler(attempt)
        return self._study.ask(self._distributions)

    def _sampler(self, attempt: int) -> BaseSampler:
        entropy = np.random.SeedSequence((self._seed, self._num_known, attempt))
        seed = int(entropy.generate_state(1)[0])
        if attempt >= _GUIDED_TRIES:
            return RandomSampler(seed=seed)
        if self._kind == "cma_es":
            return CmaEsSampler(seed=seed, warn_independent_sampling=False)
        # Optuna's own ten random draws at the start would use up a typical budget of eight candidates.
        return TPESampler(seed=seed, n_startup_trials=max(2, min(10, self._num_candidates // 3)))


def optuna_distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's terms."""
    return {path: _distribution(distribution) for path, distribution in space.items()}


def encoded(space: Space, params: Params) -> Params:
    """A point as Optuna wants it: its categories must be scalars; ours may be any JSON, so they travel as text."""
    return {path: value_key(value) if isinstance(space[path], Choice) else value for path, value in params.items()}


def _decoded(distribution: Distribution, value: JsonValue) -> JsonValue:
    if not isinstance(distribution, Choice):
        return value
    return next(listed for listed in distribution.values if value_key(listed) == value)


def _distribution(distribution: Distribution) -> BaseDistribution:
    match distribution:
        case Uniform(low=low, high=high):
            return FloatDistribution(low, high)
        case LogUniform(low=low, high=high):
            return FloatDistribution(low, high, log=True)
        case IntUniform(low=low, high=high):
            return IntDistribution(low, high)
        case Choice(values=values):
            return CategoricalDistribution([value_key(value) for value in values])
