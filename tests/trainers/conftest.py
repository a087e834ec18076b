import multiprocessing
from pathlib import Path

import pytest
import torch

from trainers.config import TrialConfig


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that trains, and so every test below this folder, has to pass with the lowest torch, too."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.torch_oldest)


@pytest.fixture(autouse=True)
def one_thread():
    """Two test processes on two cores, not eight threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def trial():
    """A trial of about 0.1 s an epoch, with dropout, augmentation, EMA and a learned bias: all that has a state."""

    def make(**changes: object) -> TrialConfig:
        base = {
            "model": {
                "kind": "small_vit",
                "width": 12,
                "depth": 2,
                "num_heads": 2,
                "image_size_px": 16,
                "patch_size_px": 4,
                "position": "rel_mlp",
                "drop_path": 0.2,
            },
            "attention_bias": {"kind": "gaussian", "sigma": 2.0, "lr_multiplier": 10.0},
            "dataset": {"kind": "digits", "num_train": 40, "num_val": 30, "num_test": 30},
            "augmentation": {"kind": "crop_flip", "rotation_degrees": 10.0},
            "optimization": {
                "epochs": 5,
                "global_batch_size": 10,
                "ema": {"kind": "ema", "decay": 0.8},
                "schedule": {"kind": "cosine", "warmup_epochs": 1.0},
            },
            "seed": 3,
        }
        return TrialConfig.model_validate(base | changes)

    return make


@pytest.fixture(scope="session")
def processes():
    """Makes fresh processes (not forks of this one) that need no second import of torch."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["trainers.training.trial"])
    return context
