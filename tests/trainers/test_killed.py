"""A trial whose process is killed, for real, in several epochs."""

import os
import signal

import pytest
import torch

from trainers.result import EpochReport
from trainers.runtime import Runtime
from trainers.training.trial import train

TIMED = ("images_per_second", "data_wait_fraction")


def child(config, storage, reports):
    """Runs in a process of its own."""
    torch.set_num_threads(1)
    train(config, Runtime(device="cpu", storage=storage, checkpoint_minutes=0), on_epoch=reports.send)
    reports.send(None)


def run(processes, config, storage, *, kill_in_epoch):
    """Train in a fresh process; kill it as soon as it reports that epoch. Returns the epochs that it reported."""
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=child, args=(config, storage, sender))
    process.start()
    sender.close()
    epochs = []
    try:
        while True:
            assert receiver.poll(120), "no report from the child"
            report = receiver.recv()
            if report is None:
                break
            assert isinstance(report, EpochReport)
            epochs.append(report.epoch)
            if report.epoch == kill_in_epoch:
                os.kill(process.pid, signal.SIGKILL)
                break
    finally:
        process.join(120)
    assert process.exitcode == (0 if kill_in_epoch is None else -signal.SIGKILL)
    return epochs


def comparable(report):
    return {name: value for name, value in report.metrics.items() if name not in TIMED}


@pytest.mark.parametrize("arm", [{"kind": "none"}, {"kind": "gaussian", "sigma": 2.0, "lr_multiplier": 10.0}])
def test_killed_again_and_again_it_gives_the_same_bits(trial, processes, tmp_path, arm):
    config = trial(attention_bias=arm)
    whole = train(config, Runtime(device="cpu", storage=tmp_path / "whole"))
    storage = tmp_path / "killed"
    seen = [run(processes, config, storage, kill_in_epoch=epoch) for epoch in (0, 2, 4)]
    # It went on, and did not start over.
    assert seen[0] == [0]
    assert seen[1][0] in (0, 1)
    assert seen[2][0] in (1, 2, 3)
    run(processes, config, storage, kill_in_epoch=None)
    resumed = train(config, Runtime(device="cpu", storage=storage))
    assert [comparable(report) for report in resumed.epochs] == [comparable(report) for report in whole.epochs]
    for name in ("best_val/top1", "best_val/loss", "test/top1", "test/loss"):
        assert resumed.metrics[name] == whole.metrics[name]
    ours, theirs = (
        torch.load(tmp_path / name / "best_weights.pt", weights_only=True)["state"]["best_weights"]
        for name in ("killed", "whole")
    )
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
