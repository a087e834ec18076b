"""`optimization.deterministic`: torch is told, what can't be is refused, and other trials stay who they are."""

import pytest
import torch
from pydantic import ValidationError

from tests.trainers.test_loop import CPU, numbers
from trainers.config import TrialConfig, canonical_json
from trainers.determinism import deterministic_kernels
from trainers.errors import ConfigError
from trainers.optimization.recipe import OptimizationConfig
from trainers.training.trial import train

DETERMINISTIC = OptimizationConfig(deterministic=True)


def test_a_trial_runs_under_it_and_leaves_torch_as_it_was(trial):
    seen = []
    short = {"epochs": 1, "global_batch_size": 10}
    config = trial(optimization={**short, "deterministic": True})
    result = train(config, CPU, on_epoch=lambda _: seen.append(torch.are_deterministic_algorithms_enabled()))
    assert seen == [True]
    assert not torch.are_deterministic_algorithms_enabled()
    assert result.provenance["kernels"] == "deterministic"
    # On a CPU all kernels are so.
    other = train(trial(optimization=short), CPU)
    assert numbers(other) == numbers(result)
    assert "kernels" not in other.provenance


def test_an_operation_without_such_a_kernel_is_refused():
    places, values = torch.tensor([0, 0]), torch.tensor([1.0, 2.0])
    with (
        pytest.raises(ConfigError, match=r"deterministic can't be kept: put_ .*does not have a deterministic impl"),
        deterministic_kernels(DETERMINISTIC),
    ):
        torch.zeros(3).put_(places, values)
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="something else"), deterministic_kernels(DETERMINISTIC):
        raise RuntimeError("something else")
    with deterministic_kernels(OptimizationConfig()):
        torch.zeros(3).put_(places, values)


def test_a_workspace_of_cublas_that_breaks_it_is_refused(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:2")
    with pytest.raises(ConfigError, match="it is ':4096:2'"), deterministic_kernels(DETERMINISTIC):
        pass


def test_it_is_part_of_the_identity_where_it_is_set_and_only_there(trial):
    plain = trial()
    assert "deterministic" not in canonical_json(plain)
    asked = trial(optimization={**plain.optimization.model_dump(), "deterministic": True})
    assert TrialConfig.model_validate_json(canonical_json(asked)) == asked != plain
    off = trial(optimization={**plain.optimization.model_dump(), "deterministic": False})
    assert canonical_json(off) == canonical_json(plain)


def test_the_compiler_does_not_keep_it():
    with pytest.raises(ValidationError, match="deterministic and compile do not go together"):
        OptimizationConfig(deterministic=True, compile=True)
