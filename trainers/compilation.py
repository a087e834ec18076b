"""`torch.compile` in a process that trains many trials: each starts anew, and none falls back unseen."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit
from torch._dynamo.utils import counters

from trainers.counted import counted
from trainers.errors import ConfigError
from trainers.optimization.recipe import OptimizationConfig


@contextmanager
def fresh_compiler(config: OptimizationConfig) -> Iterator[None]:
    """Around one trial: nothing that earlier trials have compiled counts against it.

    All models share the code of `nn.Module`'s call, and the compiler keeps at most `recompile_limit` (8) versions of
    one piece of code. From then on it would run eagerly, with a line in the log: the arms of a pair would draw their
    dropout by different generators.

    Raises:
        ConfigError: this very trial needs more versions than the compiler keeps.
    """
    if not config.compile:
        yield
        return
    torch.compiler.reset()
    counters.clear()
    try:
        with (
            torch._dynamo.config.patch(fail_on_recompile_limit_hit=True),  # noqa: SLF001  torch documents it so
            warnings.catch_warnings(),
        ):
            # "Consider setting ...": `fp32` is IEEE on purpose, and whoever wants TF32 says so in `precision`.
            warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores", category=UserWarning)
            yield
    except FailOnRecompileLimitHit as error:
        limit = torch._dynamo.config.recompile_limit  # noqa: SLF001
        raise ConfigError(
            f"torch.compile gave up: it has compiled this model {counted(limit, 'time')} and would have to do "
            "so again; set compile to false"
        ) from error
    finally:
        torch.compiler.reset()


def how_compiled(config: OptimizationConfig) -> dict[str, str]:
    """For provenance: nothing for eager trials, else whether the compiler has taken the forward pass whole."""
    if not config.compile:
        return {}
    num_graphs, num_breaks = counters["stats"]["unique_graphs"], sum(counters["graph_break"].values())
    if not num_graphs:
        # Every epoch was trained before this process took over, or there are none.
        return {"forward": "compiled in an earlier process"}
    return {"forward": f"compiled in parts ({num_breaks} graph breaks)" if num_breaks else "compiled whole"}
