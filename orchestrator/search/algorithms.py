"""Search algorithms and early stopping, as a user names them."""

from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel


class GridSearch(StrictModel):
    """Every combination of the listed values."""

    kind: Literal["grid"] = "grid"


class RandomSearch(StrictModel):
    """Independent draws."""

    kind: Literal["random"] = "random"
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the draws."""


class OptunaSearch(StrictModel):
    """Optuna: each candidate is proposed in the light of those that have ended."""

    kind: Literal["optuna"] = "optuna"
    sampler: Literal["tpe", "cma_es"] = "tpe"
    """`tpe`: tree-structured Parzen estimator, for any space and few candidates; `cma_es`: covariance matrix
    adaptation, for ranges only, and for several generations of candidates."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the sampler."""


class NoEarlyStopping(StrictModel):
    """Every candidate trains to its end."""

    kind: Literal["none"] = "none"


class Asha(StrictModel):
    """Asynchronous successive halving on epochs, within one cell and arm."""

    kind: Literal["asha"] = "asha"
    grace_epochs: int = Field(default=1, ge=1)
    """Epochs that every candidate may train."""
    reduction_factor: float = Field(default=3.0, gt=1)
    """One in so many candidates survives a rung."""


SearchAlgorithm = GridSearch | RandomSearch | OptunaSearch
EarlyStopping = NoEarlyStopping | Asha
