"""Many trials in one process, as Ray's workers run them: none leaves anything behind, none changes the next."""

import gc
import multiprocessing
import weakref

import psutil
import pytest
import torch
from torch import nn

from trainers.errors import ConfigError, NonFiniteLossError
from trainers.models.small_vit import SmallVitConfig
from trainers.runtime import Runtime
from trainers.training.trial import train


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def models(monkeypatch):
    """Weak references to the models of all trials from now on."""
    found = []
    build = SmallVitConfig.build

    def remember(config, *args, **options):
        model = build(config, *args, **options)
        found.append(weakref.ref(model))
        return model

    monkeypatch.setattr(SmallVitConfig, "build", remember)
    return found


@pytest.mark.parametrize(
    ("changes", "runtime"),
    [
        ({}, {}),
        ({"analyses": [{"kind": "receptive_field"}, {"kind": "learned_bias"}]}, {}),
        ({}, {"loader_workers": 2}),
        ({}, {"image_cache_gib": 0.01}),
    ],
    ids=["plain", "analyses", "loader_workers", "image_cache"],
)
def test_a_finished_trial_is_freed_without_the_collector(trial, models, no_collector, changes, runtime):
    train(trial(**changes), Runtime(device="cpu", **runtime))
    assert [model() for model in models] == [None]
    assert not multiprocessing.active_children()


def test_a_failed_trial_ends_its_loader_workers(trial, models, no_collector):
    steep = {"epochs": 2, "global_batch_size": 10, "optimizer": {"kind": "sgd", "lr": 100.0}}
    with pytest.raises(NonFiniteLossError) as caught:
        train(trial(optimization=steep), Runtime(device="cpu", loader_workers=2))
    assert not multiprocessing.active_children()
    del caught
    assert [model() for model in models] == [None]


def test_memory_stays_flat_over_many_trials(trial, models):
    # Parameters, their gradients, both of AdamW's moments, the average and the best weights: 4 MB a trial.
    wide = {"kind": "small_vit", "width": 96, "depth": 2, "num_heads": 2, "image_size_px": 16, "patch_size_px": 8}
    short = {"epochs": 1, "global_batch_size": 40, "ema": {"kind": "ema"}}

    def memory_after(num_trials):
        for seed in range(num_trials):
            train(trial(model=wide, optimization=short, seed=seed), Runtime(device="cpu"))
        return psutil.Process().memory_info().rss

    before = memory_after(10)
    assert memory_after(30) - before < 40e6
    assert len(models) == 40


def counted_compilation(monkeypatch):
    """`Module.compile` with a back end that runs the graphs as they are and counts the calls."""
    calls = []

    def backend(graph, example_inputs):
        def run(*inputs):
            calls.append(graph)
            return graph(*inputs)

        return run

    def compile_(module):
        module._compiled_call_impl = torch.compile(module._call_impl, backend=backend)

    monkeypatch.setattr(nn.Module, "compile", compile_)
    return calls


COMPILED = {"epochs": 1, "global_batch_size": 20, "compile": True}


def test_the_last_compiled_trial_of_a_process_is_compiled_like_the_first(trial, monkeypatch):
    calls = counted_compilation(monkeypatch)
    counts = []
    # 8 by default: the fifth pair of models would run eagerly. A trial needs one version, so 2 show the same sooner.
    with torch._dynamo.config.patch(recompile_limit=2):
        for seed in range(3):
            calls.clear()
            # Arms take turns, as they do in a worker of Ray's.
            bias = {"kind": "none"} if seed % 2 else {"kind": "gaussian"}
            result = train(trial(optimization=COMPILED, attention_bias=bias, seed=seed), Runtime(device="cpu"))
            assert result.provenance["forward"] == "compiled whole"
            counts.append(len(calls))
    assert counts == [counts[0]] * 3
    assert counts[0] > 0


def test_a_model_that_the_compiler_gives_up_on_is_refused_not_run_eagerly(trial, monkeypatch):
    counted_compilation(monkeypatch)
    # Without an average the trained model itself is scored, without gradients: a second version.
    scored = COMPILED | {"ema": {"kind": "none"}}
    limit = torch._dynamo.config.patch(recompile_limit=1)
    with limit, pytest.raises(ConfigError, match=r"torch.compile gave up: .* 1 time and"):
        train(trial(optimization=scored), Runtime(device="cpu"))


def test_an_eager_trial_says_nothing_of_the_compiler(trial):
    short = {"epochs": 1, "global_batch_size": 20}
    assert "forward" not in train(trial(optimization=short), Runtime(device="cpu")).provenance
