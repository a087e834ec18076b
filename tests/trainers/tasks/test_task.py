"""A task that the loop has never heard of: two numbers of each image, a head beside the backbone, lower is better."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from tests.trainers.tasks.promises import assert_goes_on_bit_by_bit
from tests.trainers.test_loop import weights
from trainers.config import TrialConfig
from trainers.data.digits import DigitsConfig
from trainers.data.splits import Batch, ImageSplit, Splits
from trainers.data.tensor_split import TensorSplit
from trainers.errors import ConfigError, NonFiniteLossError
from trainers.metrics import Metric
from trainers.models.bias import bias_parameters
from trainers.optimization.parameter_groups import parameter_groups
from trainers.runtime import Runtime
from trainers.tasks.evidence import Evidence, read_class_names, read_image_scores
from trainers.tasks.task import Task
from trainers.training.trial import train

CPU = Runtime(device="cpu")


class Halves(ImageSplit):
    """Digits, to be told by the brightness of their halves: one mapping of two numbers for each image."""

    def __init__(self, digits: TensorSplit) -> None:
        super().__init__(digits.indices, digits.augment)
        self._digits = digits

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        images, _, indices = self._digits.__getitems__(positions)
        size = images.shape[-1] // 2
        return Batch(images, [{"left": i[:, :, :size].mean(), "right": i[:, :, size:].mean()} for i in images], indices)


class HalvesConfig(DigitsConfig):
    def load(self, *args: object, **options: object) -> Splits:
        splits = super().load(*args, **options)
        return Splits(Halves(splits.train), Halves(splits.val), Halves(splits.test), class_names=())


class BrightnessNetwork(nn.Module):
    """[B, 3, S, S] -> [B, 2]; where targets come with the images, the outputs are the loss, as torchvision's are."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(4, 2)

    def forward(self, images: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Tensor:
        told = self.head(self.backbone(images))
        return told if targets is None else F.mse_loss(told, in_rows(targets))


def in_rows(targets: list[dict[str, Tensor]]) -> Tensor:
    return torch.stack([torch.stack([target["left"], target["right"]]) for target in targets])


class Errors(Evidence):
    def __init__(self, indices: np.ndarray, errors: np.ndarray) -> None:
        self.indices, self.errors = indices, errors

    @classmethod
    def of_ranks(cls, parts):
        indices = np.concatenate([part.indices for part in parts])
        order = np.argsort(indices)
        return cls(indices[order], np.concatenate([part.errors for part in parts])[order])

    def metrics(self) -> dict[str, float]:
        return {"error": float(self.errors.mean(dtype=np.float64))}

    def arrays(self):
        return {"index": self.indices, "error": self.errors}


class BrightnessTask(Task):
    metrics: ClassVar = (Metric("error", "", 1.0, higher_is_better=False, per_image="error"),)
    selects_by: ClassVar = "error"
    watched: ClassVar = ("error",)
    kind: Literal["brightness"] = "brightness"

    def network(self, model, class_names, *, position_seed: int, data_root: Path | None) -> nn.Module:
        assert class_names == ()
        return BrightnessNetwork(model.build(4, position_seed=position_seed, data_root=data_root))

    def backbone(self, network: nn.Module) -> nn.Module:
        return network.backbone

    def outputs(self, network, images, targets):
        return network(images, targets)

    def criterion(self, class_names, device):
        return lambda outputs, targets: outputs

    def look(self, outputs, targets, indices):
        return indices, (outputs - in_rows(targets)).abs().mean(1)

    def evidence(self, batches):
        return Errors(*(torch.cat(parts).cpu().numpy() for parts in zip(*batches, strict=True)))


class BrightnessTrial(TrialConfig):
    task: BrightnessTask = BrightnessTask()
    """What is learned."""
    dataset: HalvesConfig
    """What it is learned from."""


@pytest.fixture
def brightness(trial):
    def make(**changes) -> BrightnessTrial:
        asked = trial().model_dump() | {"task": {"kind": "brightness"}} | changes
        return BrightnessTrial.model_validate(asked)

    return make


def test_a_new_task_trains_is_scored_and_keeps_its_evidence(brightness, tmp_path):
    looks = [{"kind": "receptive_field", "num_images": 4}]
    result = train(brightness(analyses=looks), Runtime(device="cpu", storage=tmp_path))
    errors = [report.metrics["val/error"] for report in result.epochs]
    assert result.best_epoch == int(np.argmin(errors))
    assert result.metrics["best_val/error"] == min(errors) < 0.8 * errors[0]
    assert {name for name in result.metrics if name.startswith(("val/", "test/", "best_val/"))} == {
        *("val/error", "test/error", "best_val/error"),
    }
    found = read_image_scores(tmp_path / result.predictions_file, "test", "error")
    assert float(found.scores.mean(dtype=np.float64)) == result.metrics["test/error"]
    assert (np.diff(found.indices) > 0).all()
    assert read_class_names(tmp_path / result.predictions_file) == ()
    # The bias and the analyses are the backbone's.
    assert {name for name in weights(tmp_path) if "gaussian" in name and not name.startswith("backbone.")} == set()
    assert sum("gaussian.sigma" in name for name in weights(tmp_path)) == 2
    assert {"receptive_field/rms_radius_tokens", "receptive_field_initial/rms_radius_tokens"} <= result.metrics.keys()
    assert len(result.learned_bias) == 4


def test_it_goes_on_in_the_middle_of_an_epoch_like_any_other(brightness, tmp_path):
    assert_goes_on_bit_by_bit(brightness(), tmp_path, looks=5, more_often_than=3)


def test_both_arms_start_alike(brightness):
    control = train(brightness(attention_bias={"kind": "none"}), CPU).provenance
    gaussian = train(brightness(), CPU).provenance
    assert {name: control[name] for name in control if name.startswith("start_")} == {
        name: gaussian[name] for name in gaussian if name.startswith("start_")
    }


def test_the_head_is_the_last_layer_and_the_backbone_numbers_its_own(brightness):
    config = brightness()
    network = config.task.network(config.model, (), position_seed=0, data_root=None)
    alone = network.backbone
    options = {"bias": bias_parameters(network), "weight_decay": 0.1, "bias_lr_multiplier": 1.0, "layer_decay": 0.5}
    inner = {id(p): group for group in parameter_groups(alone, alone, **options) for p in group["params"]}
    last = max(group["lr_multiplier"] for group in inner.values())
    for group in parameter_groups(network, alone, **options):
        for parameter in group["params"]:
            expected = inner.get(id(parameter))
            assert group["lr_multiplier"] == (last if expected is None else expected["lr_multiplier"])
            assert expected is None or group["weight_decay"] == expected["weight_decay"]


def test_a_metric_that_is_not_finite_ends_the_trial_by_its_name(brightness, monkeypatch):
    monkeypatch.setattr(Errors, "metrics", lambda _: {"error": math.nan})
    with pytest.raises(NonFiniteLossError, match="validation error became nan in epoch 0"):
        train(brightness(), CPU)
    untrained = {"epochs": 0, "global_batch_size": 10}
    with pytest.raises(ConfigError, match="validation error of nan"):
        train(brightness(optimization=untrained), CPU)


def test_a_task_that_mixes_nothing_says_so(brightness):
    with pytest.raises(ValidationError, match="mixing is mixup, and the task brightness mixes no images"):
        brightness(mixing={"kind": "mixup"})
