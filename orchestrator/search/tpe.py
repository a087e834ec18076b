"""Optuna's tree-structured Parzen estimator, by ask and tell, rebuilt from past candidates after a restart."""

import json

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState
from pydantic import JsonValue

from orchestrator.search.space import Choice, Distribution, IntUniform, LogUniform, Params, Space, Uniform


class TpeProposer:
    """Proposes where good candidates were dense; the first third of the candidates are random draws.

    Optuna's own ten random draws at the start would use up a typical budget of eight candidates.
    """

    def __init__(self, space: Space, *, num_candidates: int, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._num_candidates, self._seed = num_candidates, seed
        self._study = optuna.create_study(direction="maximize", sampler=self._sampler(seed))
        self._space = space
        self._distributions = {path: _distribution(space[path]) for path in space}
        self._left = num_candidates
        self._asked: dict[str, Trial] = {}
        self._scores: dict[str, float | None] = {}

    def propose(self) -> Params | None:
        """Ask Optuna; a point that it proposes again spends budget and gets its known score."""
        while self._left > 0:
            self._left -= 1
            trial = self._study.ask(self._distributions)
            params = {path: self._decoded(path, value) for path, value in trial.params.items()}
            key = _key(params)
            if key in self._scores:
                self._tell(trial, self._scores[key])
            elif key in self._asked:
                self._study.tell(trial, state=TrialState.FAIL)  # left out of the densities
            else:
                self._asked[key] = trial
                return params
        return None

    def observe(self, params: Params, score: float | None) -> None:
        """Tell Optuna; a candidate without a score counts as worse than all that have one."""
        key = _key(params)
        self._scores[key] = score
        self._tell(self._asked.pop(key), score)

    def restore(self, params: Params) -> None:
        """Let Optuna ask for this very point."""
        self._left -= 1
        self._study.enqueue_trial({path: self._encoded(path, value) for path, value in params.items()})
        self._asked[_key(params)] = self._study.ask(self._distributions)
        # The same seed would draw the first candidates again.
        self._study.sampler = self._sampler(self._seed + len(self._study.trials))

    def _sampler(self, seed: int) -> optuna.samplers.TPESampler:
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(2, min(10, self._num_candidates // 3)))

    def _tell(self, trial: Trial, score: float | None) -> None:
        if score is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, score)

    # Optuna's categories must be scalars; ours may be any JSON, so they travel as text.
    def _encoded(self, path: str, value: JsonValue) -> JsonValue:
        return json.dumps(value, sort_keys=True) if isinstance(self._space[path], Choice) else value

    def _decoded(self, path: str, value: JsonValue) -> JsonValue:
        return json.loads(str(value)) if isinstance(self._space[path], Choice) else value


def _key(params: Params) -> str:
    return json.dumps(params, sort_keys=True)


def _distribution(distribution: Distribution) -> BaseDistribution:
    match distribution:
        case Uniform(low=low, high=high):
            return FloatDistribution(low, high)
        case LogUniform(low=low, high=high):
            return FloatDistribution(low, high, log=True)
        case IntUniform(low=low, high=high):
            return IntDistribution(low, high)
        case Choice(values=values):
            return CategoricalDistribution([json.dumps(value, sort_keys=True) for value in values])
