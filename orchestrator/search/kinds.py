"""Everything that a search can name by `kind`: the one place that knows all algorithms, each in a file of its own.

An algorithm is one file, and its name in an import and the union here.
"""

from orchestrator.search.early_stopping import Asha, NoEarlyStopping
from orchestrator.search.grid import GridSearch
from orchestrator.search.optuna_search import OptunaSearch
from orchestrator.search.random_draws import RandomSearch

AlgorithmConfig = GridSearch | RandomSearch | OptunaSearch
EarlyStoppingConfig = NoEarlyStopping | Asha
