"""Kernels that give the same bits again, where a trial asks for them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainers.errors import ConfigError
from trainers.optimization.recipe import OptimizationConfig

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_DETERMINISTIC_WORKSPACES = (":4096:8", ":16:8")
"""With which cuBLAS gives the same bits again (its manual, "Results reproducibility"); the package sets the first."""
_REFUSAL = "does not have a deterministic implementation"


@contextmanager
def deterministic_kernels(config: OptimizationConfig) -> Iterator[None]:
    """Around one trial: refuse what does not give the same bits again, then leave torch as it was.

    Raises:
        ConfigError: an operation of this trial has no such kernel, or cuBLAS was set up otherwise.
    """
    if not config.deterministic:
        yield
        return
    workspace = os.environ.get(_WORKSPACE)
    if workspace not in _DETERMINISTIC_WORKSPACES:
        raise ConfigError(
            f"optimization.deterministic needs {_WORKSPACE} unset, or {' or '.join(_DETERMINISTIC_WORKSPACES)}, "
            f"in the environment; it is {workspace!r}"
        )
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        if _REFUSAL not in str(error):
            raise
        raise ConfigError(
            f"optimization.deterministic can't be kept: {str(error).partition(_REFUSAL)[0]}{_REFUSAL} on this device; "
            "take another model, or set it to false in every arm"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before)
