import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainers.attention_kernels import KernelRecord
from trainers.data.normalization import Normalization
from trainers.data.splits import Batch
from trainers.device import Device
from trainers.errors import ConfigError, NonFiniteLossError
from trainers.optimization.parameter_groups import ParameterGroup
from trainers.optimization.recipe import OptimizationConfig
from trainers.ranks import ALONE
from trainers.tasks.classification.task import ClassificationConfig
from trainers.training.descent import STEPS_BETWEEN_CHECKS, Descent

PLAIN = Normalization((0.0,) * 3, (1.0,) * 3)
TASK = ClassificationConfig()
CPU = Device(torch.device("cpu"), "fp32")


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.GELU(), nn.Linear(8, 3))

    def forward(self, images):
        return self.layers(images)


def images_and_labels(num_images, seed=1):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(num_images, 3, 2, 2, generator=random), torch.randint(3, (num_images,), generator=random)


def batches(images, labels, size):
    indices = torch.arange(len(labels))
    return [Batch(*parts) for parts in zip(images.split(size), labels.split(size), indices.split(size), strict=True)]


def descend(
    data,
    *,
    steps,
    parts=1,
    multiplier=1.0,
    task=TASK,
    device=CPU,
    normalize=PLAIN,
    mixing=None,
    **changes,
):
    optimization = OptimizationConfig.model_validate(
        {
            "optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0},
            "epochs": 1,
            "global_batch_size": 16,
        }
        | {"schedule": {"kind": "constant"}, "accumulation_steps": parts}
        | changes
    )
    model = Tiny()
    group = ParameterGroup(name="all", params=list(model.parameters()), weight_decay=0.0, lr_multiplier=multiplier)
    descent = Descent(
        model,
        optimization.optimizer.build([group]),
        None,
        task=task,
        criterion=task.criterion((), device.torch_device),
        normalize=normalize,
        prepare=mixing,
        config=optimization,
        seed=0,
        steps_per_epoch=steps,
        device=device,
        world=ALONE,
        kernels=KernelRecord(is_compiled=False),
    )
    return model, descent.run_epoch(0, data)


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_steps_are_torchs_own():
    images, labels = images_and_labels(32)
    model, pace = descend(batches(images, labels, 16), steps=2)
    expected, losses = Tiny(), []
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1, momentum=0.9)
    for part in range(2):
        loss = F.cross_entropy(expected(images.split(16)[part]), labels.split(16)[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert torch.equal(weights(model), weights(expected))
    assert pace.loss == pytest.approx(sum(losses) / 2)
    assert pace.lr == 0.1
    assert 0 <= pace.wait_seconds < pace.seconds


class Clock:
    """Moves only when it is told to."""

    seconds = 0.0

    def perf_counter(self):
        return self.seconds


@pytest.mark.parametrize(("read_seconds", "step_seconds"), [(3.0, 1.0), (0.0, 2.0), (0.25, 0.75)])
def test_the_share_of_waiting_is_that_of_the_loader(monkeypatch, read_seconds, step_seconds):
    clock = Clock()
    for module in ("trainers.training.descent.time", "trainers.device.time"):
        monkeypatch.setattr(module, clock)
    forward = Tiny.forward

    def timed_forward(model, images):
        clock.seconds += step_seconds
        return forward(model, images)

    monkeypatch.setattr(Tiny, "forward", timed_forward)

    def slow_batches():
        for batch in batches(*images_and_labels(64), 8):
            clock.seconds += read_seconds
            yield batch

    _, pace = descend(slow_batches(), steps=4, parts=2)
    assert pace.wait_seconds == pytest.approx(8 * read_seconds)
    assert pace.wait_seconds / pace.seconds == pytest.approx(read_seconds / (read_seconds + step_seconds))


def test_bytes_are_normalised_before_the_first_layer(monkeypatch):
    images = torch.randint(0, 256, (16, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    seen, forward = [], Tiny.forward
    monkeypatch.setattr(Tiny, "forward", lambda model, images: seen.append(images) or forward(model, images))
    normalize = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    descend(batches(images, torch.arange(16) % 3, 16), steps=1, normalize=normalize)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    assert torch.allclose(seen[0], (images / 255 - mean) / std, atol=1e-6)


def test_each_micro_batch_is_mixed_by_numbers_of_its_own():
    asked = []

    def mixing(images, labels, *, epoch, micro_batch):
        asked.append((epoch, micro_batch, len(images)))
        return images * 0, F.one_hot(labels, 3).float()

    images, labels = images_and_labels(64)
    model, _ = descend(batches(images, labels, 8), steps=4, parts=2, mixing=mixing)
    assert asked == [(0, micro_batch, 8) for micro_batch in range(8)]
    # Black images move no weight of the first layer.
    assert torch.equal(model.layers[1].weight, Tiny().layers[1].weight)


def test_accumulation_is_the_big_batch():
    images, labels = images_and_labels(64)
    whole, pace = descend(batches(images, labels, 16), steps=4)
    parts, pace_of_parts = descend(batches(images, labels, 4), steps=4, parts=4)
    assert torch.allclose(weights(whole), weights(parts), atol=1e-6)
    assert pace.loss == pytest.approx(pace_of_parts.loss, abs=1e-6)
    assert not torch.allclose(weights(whole), weights(Tiny()), atol=1e-3)


def test_clipping_limits_the_step():
    images, labels = images_and_labels(16)
    free, _ = descend(batches(images, labels, 16), steps=1)
    clipped, _ = descend(batches(images, labels, 16), steps=1, clip_grad_norm=0.01)
    start = weights(Tiny())
    assert (weights(clipped) - start).norm() == pytest.approx(0.1 * 0.01, rel=1e-4)
    assert (weights(free) - start).norm() > 0.01


def test_a_group_may_learn_faster():
    images, labels = images_and_labels(16)
    start = weights(Tiny())
    usual, pace = descend(batches(images, labels, 16), steps=1)
    fast, pace_of_fast = descend(batches(images, labels, 16), steps=1, multiplier=20.0)
    assert torch.allclose(weights(fast) - start, 20 * (weights(usual) - start), atol=1e-6)
    assert pace_of_fast.lr == pace.lr == 0.1


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_label_smoothing_is_torchs_own(smoothing):
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(7) % 5
    loss = ClassificationConfig(label_smoothing=smoothing).criterion((), torch.device("cpu"))(logits, labels)
    targets = F.one_hot(labels, 5) * (1 - smoothing) + smoothing / 5
    assert loss == pytest.approx(float(-(targets * logits.log_softmax(1)).sum(1).mean()), abs=1e-6)


@pytest.mark.parametrize(("broken", "value"), [(3, float("nan")), (STEPS_BETWEEN_CHECKS + 1, float("inf"))])
def test_a_loss_that_is_not_finite_names_its_step(broken, value):
    steps = STEPS_BETWEEN_CHECKS + 5
    images, labels = images_and_labels(steps)
    images[broken] = value
    with pytest.raises(NonFiniteLossError) as caught:
        descend(batches(images, labels, 1), steps=steps)
    assert (caught.value.epoch, caught.value.step) == (0, broken)
    assert f"in epoch 0, step {broken}; a lower learning rate" in str(caught.value)


def test_bf16_computes_the_forward_pass_and_keeps_the_weights():
    images, labels = images_and_labels(16)
    exact, pace = descend(batches(images, labels, 16), steps=1)
    rough, rough_pace = descend(batches(images, labels, 16), steps=1, device=Device(torch.device("cpu"), "bf16"))
    assert weights(rough).dtype == torch.float32
    assert rough_pace.loss == pytest.approx(pace.loss, abs=0.02)
    assert rough_pace.loss != pace.loss
    assert torch.allclose(weights(rough), weights(exact), atol=0.01)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_said():
    assert Device.choose("auto", "fp32").name == "cpu"
    with pytest.raises(ConfigError, match="torch sees no CUDA device here"):
        Device.choose("cuda", "fp32")
