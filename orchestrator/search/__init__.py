"""Who proposes params, and over what. A search algorithm is one file here and one line in `SearchAlgorithm`."""

from orchestrator.search.algorithms import (
    Asha,
    EarlyStopping,
    GridSearch,
    NoEarlyStopping,
    OptunaSearch,
    RandomSearch,
    SearchAlgorithm,
)
from orchestrator.search.space import Choice, Distribution, IntUniform, LogUniform, Params, Space, Uniform

__all__ = [
    "Asha",
    "Choice",
    "Distribution",
    "EarlyStopping",
    "GridSearch",
    "IntUniform",
    "LogUniform",
    "NoEarlyStopping",
    "OptunaSearch",
    "Params",
    "RandomSearch",
    "SearchAlgorithm",
    "Space",
    "Uniform",
]
