"""Our search algorithms, asked what every search algorithm must do."""

from typing import get_args

from orchestrator.contracts import SearchAlgorithmContract
from orchestrator.search.algorithm import SearchAlgorithm
from orchestrator.search.grid import GridSearch
from orchestrator.search.kinds import AlgorithmConfig
from orchestrator.search.optuna_search import OptunaSearch
from orchestrator.search.random_draws import RandomSearch


class TestGrid(SearchAlgorithmContract):
    def make(self) -> SearchAlgorithm:
        return GridSearch()


class TestRandom(SearchAlgorithmContract):
    def make(self) -> SearchAlgorithm:
        return RandomSearch(seed=3)


class TestTpe(SearchAlgorithmContract):
    def make(self) -> SearchAlgorithm:
        return OptunaSearch(seed=3)


class TestCmaEs(SearchAlgorithmContract):
    def make(self) -> SearchAlgorithm:
        return OptunaSearch(seed=3, sampler="cma_es")


def test_every_kind_is_asked() -> None:
    asked = {type(contract().make()) for contract in SearchAlgorithmContract.__subclasses__()}
    assert asked == set(get_args(AlgorithmConfig))
