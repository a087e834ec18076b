"""What holds for every search algorithm, to be asked of one's own: our tests of ours are the same class.

    from orchestrator.contracts import SearchAlgorithmContract

    class TestHalton(SearchAlgorithmContract):
        def make(self):
            return HaltonSearch()

`pytest` collects the class and asks it everything; nothing here imports pytest.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

from pydantic import JsonValue, TypeAdapter

from orchestrator.search.algorithm import SearchAlgorithm
from orchestrator.search.proposer import Proposer
from orchestrator.search.space import Choice, Distribution, IntUniform, Params, Space, point_key

SPACES: Mapping[str, Space] = {
    name: TypeAdapter(Space).validate_python(space)
    for name, space in {
        "ranges": {
            "optimization.optimizer.lr": {"kind": "log_uniform", "low": 1e-5, "high": 1e-1},
            "model.drop_path": {"kind": "uniform", "low": 0.0, "high": 0.5},
            "optimization.epochs": {"kind": "int_uniform", "low": 2, "high": 40},
        },
        "choices": {
            "attention_bias.per_head": {"kind": "choice", "values": [True, False]},
            "augmentation": {"kind": "choice", "values": [{"kind": "none"}, {"kind": "paper"}]},
        },
        "both": {
            "optimization.optimizer.lr": {"kind": "log_uniform", "low": 1e-5, "high": 1e-1},
            "attention_bias.per_head": {"kind": "choice", "values": [True, False]},
        },
    }.items()
}
"""What it is asked with; of those that it complains about, it is asked no more."""
_NUM_CANDIDATES = 12


class SearchAlgorithmContract(ABC):
    """Asked of one config."""

    @abstractmethod
    def make(self) -> SearchAlgorithm:
        """The algorithm's config."""

    def test_its_config_is_a_value(self) -> None:
        """It equals its copy that comes back from JSON, and has words."""
        config = self.make()
        assert type(config).model_validate_json(config.model_dump_json()) == config
        assert config.words

    def test_it_takes_a_space_or_says_which_path_it_does_not(self) -> None:
        """And it takes one of them at least."""
        for space in SPACES.values():
            complaints = self.make().complaints(space)
            assert complaints.keys() <= space.keys()
            assert all(complaints.values())
        assert self._spaces()

    def test_it_proposes_points_of_the_space_none_twice_and_ends(self) -> None:
        """As many as the plan counts, at most."""
        for space in self._spaces():
            proposed = _history(self._proposer(space))
            assert 0 < len(proposed) <= self.make().num_points(space, num_candidates=_NUM_CANDIDATES)
            assert len({point_key(params) for params in proposed}) == len(proposed)
            for params in proposed:
                assert params.keys() == space.keys()
                for path, value in params.items():
                    assert _lies_in(space[path], value), f"{path} = {value}"

    def test_it_proposes_the_same_again(self) -> None:
        """Its draws come from a seed of its own."""
        for space in self._spaces():
            assert _history(self._proposer(space)) == _history(self._proposer(space))

    def test_what_it_lists_beforehand_is_what_it_proposes(self) -> None:
        """A plan tries those points as trials."""
        for space in self._spaces():
            listed = self.make().listed(space, num_candidates=_NUM_CANDIDATES)
            assert listed is None or listed == _history(self._proposer(space))

    def test_after_a_restart_it_goes_on_as_it_would_have(self) -> None:
        """A driver that was killed tells the next one of all candidates that are known."""
        for space in self._spaces():
            whole = _history(self._proposer(space))
            for num_known in {0, 1, len(whole) // 2, len(whole)}:
                restarted = self._proposer(space)
                for params in whole[:num_known]:
                    restarted.restore(params)
                    restarted.observe(params, _score(params))
                assert _history(restarted) == whole[num_known:]

    def test_candidates_may_end_in_any_order_and_without_a_score(self) -> None:
        """Several train at once."""
        for space in self._spaces():
            proposer = self._proposer(space)
            waiting = [params for _ in range(3) if (params := proposer.propose()) is not None]
            for params in reversed(waiting):
                proposer.observe(params, None)
            assert all(params not in waiting for params in _history(proposer))

    def _spaces(self) -> list[Space]:
        return [space for space in SPACES.values() if not self.make().complaints(space)]

    def _proposer(self, space: Space) -> Proposer:
        return self.make().build(space, num_candidates=_NUM_CANDIDATES)


def _score(params: Params) -> float | None:
    """Of a candidate: a number that depends on its point alone; one in four has none."""
    told = sum(map(ord, point_key(params)))
    return None if told % 4 == 0 else math.sin(told)


def _history(proposer: Proposer) -> list[Params]:
    """What is proposed if each candidate ends before the next one is asked for."""
    proposed = []
    while (params := proposer.propose()) is not None:
        proposer.observe(params, _score(params))
        proposed.append(params)
    return proposed


def _lies_in(distribution: Distribution, value: JsonValue) -> bool:
    match distribution:
        case Choice(values=values):
            return value in values
        case IntUniform(low=low, high=high):
            return isinstance(value, int) and low <= value <= high
        case _:
            return isinstance(value, int | float) and distribution.low <= value <= distribution.high
