"""Arms that differ in more than their change are found before a cell's first training, and it does not take place."""

import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from orchestrator.driving import driver as driver_module
from orchestrator.driving import trainable
from orchestrator.driving.beginning import Arms, unequal_arms, with_arms
from orchestrator.driving.recorder import ROW_ID, Recorder
from orchestrator.driving.trainable import ALIKE, UNEQUAL, job_of, run_trial
from orchestrator.driving.work import OpenTrial
from orchestrator.planning.expansion import Expansion
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.database import open_database
from tests.orchestrator.small_experiments import TINY, experiment_of, rows_of, run, settings_in, spec_of
from trainers import ray_worker
from trainers.models.gaussian import GaussianBias
from trainers.own_code.place import running
from trainers.runtime import Runtime

GAUSSIAN = TINY["arms"][1]["patch"]


def arms_of(*patches: dict) -> Arms:
    treatments = [{"name": f"arm-{index}", "patch": patch} for index, patch in enumerate(patches)]
    spec = spec_of(arms=[TINY["arms"][0], *treatments], seeds=[0])
    trials = Expansion(spec, data_root=None).confirm_trials({})
    return Arms(cell="here", control="control", configs={trial.arm: trial.config for trial in trials})


@pytest.fixture
def bias_that_draws(monkeypatch):
    """The mistake that a pair must not have: what the arm adds moves the stream that others draw from."""
    attach = GaussianBias.attach

    def attach_and_draw(config, model):
        attach(config, model)
        torch.rand(1)

    monkeypatch.setattr(GaussianBias, "attach", attach_and_draw)


def test_honest_arms_start_alike_or_differ_in_what_they_change():
    changes = (
        GAUSSIAN,
        {"attention_bias": {"kind": "permuted_gaussian"}},
        {"augmentation": {"kind": "crop_flip"}},
        {"optimization": {"optimizer": {"lr": 0.1}}},
        {"optimization": {"global_batch_size": 10}},
        {"mixing": {"kind": "mixup"}},
        {"model": {"depth": 2}},
        {"model": {"drop_path": 0.1}},
        {"dataset": {"num_train": 60}},
        {"task": {"label_smoothing": 0.1}},
        {"normalization": "imagenet"},
    )
    assert unequal_arms(arms_of(*changes), None).complaints == []


def test_an_arm_that_moves_the_random_stream_is_found(bias_that_draws):
    (complaint,) = unequal_arms(arms_of(GAUSSIAN, {"optimization": {"epochs": 3}}), None).complaints
    assert complaint == (
        "arm-0 in here changes the attention bias alone, but does not start from the same random state as control: "
        "its pairs would compare more than that"
    )


CHANGES = """
import torch
from torch import nn

class Gated(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.scale = inner, nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.inner(x) * (1 + self.scale)

def gate(network):
    network.blocks[0].mlp = Gated(network.blocks[0].mlp)

def rms_norm(network):
    network.norm = nn.RMSNorm(network.norm.normalized_shape)

def louder(network):
    with torch.no_grad():
        network.patch_embed.proj.weight.mul_(2)

def gate_louder(network):
    gate(network)
    with torch.no_grad():
        network.blocks[0].mlp.inner.fc1.weight.mul_(2)
"""


@pytest.fixture
def own_changes(tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "beginnings.py").write_text(CHANGES)
    with running(tmp_path / "lab"):
        yield
    with running(None):
        pass


def own_change(name: str) -> dict:
    return {"attention_bias": {"kind": "python", "target": f"beginnings:{name}"}}


def test_what_an_own_change_wraps_or_replaces_is_told_and_stops_nothing(own_changes):
    look = unequal_arms(arms_of(own_change("gate"), own_change("rms_norm")), None)
    assert look.complaints == []
    gated, normed = look.alike.split("; ")[1:]
    assert gated.startswith("arm-0 replaces blocks.0.mlp.fc1.bias, blocks.0.mlp.fc1.weight, ")
    assert normed == "arm-1 replaces norm.bias, norm.weight"


def test_an_own_change_of_weights_that_stay_is_found_wherever_it_leaves_them(own_changes):
    complaints = unequal_arms(arms_of(own_change("louder"), own_change("gate_louder")), None).complaints
    assert [complaint.partition(" in here")[0] for complaint in complaints] == ["arm-0", "arm-1"]
    assert all("does not start from the same initial weights as control" in complaint for complaint in complaints)


def test_the_first_trial_of_each_cell_looks_at_all_arms():
    spec = spec_of(datasets=[TINY["datasets"][0], {"kind": "digits", "num_train": 90, "num_val": 50, "num_test": 50}])
    planned = Expansion(spec, data_root=None).confirm_trials({})
    # The first control was trained elsewhere.
    trials = [
        OpenTrial(
            row, each.identity, each.cell.key, each.arm, each.seed, Phase.CONFIRM, {}, each.config.model_dump_json()
        )
        for row, each in enumerate(planned)
    ][1:]
    found = with_arms(trials, planned, "control")
    assert [trial.row_id for trial in found] == [trial.row_id for trial in trials]
    looking = {trial.row_id: Arms.model_validate_json(trial.arms) for trial in found if trial.arms}
    assert list(looking) == [1, 2]
    assert looking[1].configs == {"control": planned[0].config, "gaussian": planned[1].config}
    assert looking[2].cell == planned[2].cell.key


def test_a_cell_whose_first_seed_stands_in_is_looked_at_too():
    spec = spec_of(datasets=[TINY["datasets"][0], {"kind": "digits", "num_train": 90, "num_val": 50, "num_test": 50}])
    planned = Expansion(spec, data_root=None).confirm_trials({})
    first, second = dict.fromkeys(each.cell.key for each in planned)
    trials = [
        OpenTrial(
            row, each.identity, each.cell.key, each.arm, each.seed, Phase.CONFIRM, {}, each.config.model_dump_json()
        )
        for row, each in enumerate(planned)
        if (each.cell.key, each.seed) != (second, 0)
    ]
    looking = [Arms.model_validate_json(trial.arms) for trial in with_arms(trials, planned, "control") if trial.arms]
    assert [arms.cell for arms in looking] == [first, second]
    assert {config.seed for config in looking[1].configs.values()} == {1}


@pytest.fixture
def told(monkeypatch):
    """What a trial reports where there is no Ray: nothing but its node and its reports is asked of it."""
    reports: list[dict] = []
    monkeypatch.setattr(trainable.tune, "report", reports.append)
    monkeypatch.setattr(trainable, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "here"))
    monkeypatch.setattr(ray_worker, "stop_when_drained", lambda _nodes: nullcontext(threading.Event()))
    return reports


def job(arms: Arms, arm: str, tmp_path) -> dict:
    runtime = Runtime(storage=tmp_path / "trial", device="cpu")
    resources = spec_of().resources
    config = arms.configs[arm].model_dump_json()
    return job_of(config, runtime, resources, run_name="x", folder=tmp_path, arms=arms.model_dump_json())


def test_a_trial_says_so_and_trains_nothing(bias_that_draws, told, tmp_path):
    answer = run_trial(job(arms_of(GAUSSIAN), "control", tmp_path))
    assert list(answer) == [UNEQUAL]
    assert told == []
    assert not (tmp_path / "trial" / "result.json").exists()


def test_a_trial_whose_arms_are_alike_says_that_and_trains(told, tmp_path):
    run_trial(job(arms_of(GAUSSIAN), "control", tmp_path))
    assert told[0] == {
        ALIKE: "here: control, arm-0 start alike in everything that they do not change (initial weights, first "
        "batches, "
        "random state)"
    }
    assert (tmp_path / "trial" / "result.json").exists()


def test_an_experiment_with_unequal_arms_ends_and_says_in_which_cell(monkeypatch, tmp_path):
    """The driver and its rows; what Ray would bring is brought by hand."""

    class FromTune:
        def __init__(self, config):
            self.config = config

    def run_trials(work, recorder: Recorder, watch, engine):
        first = work.next_trial()
        assert first.arms
        recorder.expect(first)
        trial = FromTune({ROW_ID: first.row_id})
        recorder.on_trial_start(0, [], trial)
        recorder.on_trial_result(0, [], trial, {UNEQUAL: "gaussian does not start as control does"})

    monkeypatch.setattr(driver_module, "run_trials", run_trials)
    monkeypatch.setattr(driver_module, "connect", lambda: None)
    monkeypatch.setattr(driver_module, "refusal", lambda resources, capacity: None)
    monkeypatch.setattr(driver_module, "capacity", lambda: None)
    monkeypatch.setattr(driver_module, "WaitingNote", lambda *_: monkeypatch.context())
    database = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    experiment_id = run(database, settings_in(tmp_path), spec_of())
    row = experiment_of(database, experiment_id)
    assert row.status == ExperimentStatus.FAILED
    assert row.reason == (
        f"stopped in {rows_of(database, experiment_id)[0].cell}, arm control, seed 0: gaussian does not start as "
        f"control does (fix the cause, then `sigmalab resume {experiment_id} --retry`)"
    )
    assert {trial.status for trial in rows_of(database, experiment_id)} == {TrialStatus.FAILED, TrialStatus.CANCELLED}
    database.close()
