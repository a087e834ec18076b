"""Computing activations again: less memory, the same bits."""

import pytest
import torch
from torch import nn

from tests.trainers.tasks.test_segmentation import BACKBONES, SMALL_UPERNET
from tests.trainers.test_loop import assert_same_weights, numbers, stored
from trainers.activation_checkpointing import activation_checkpointing
from trainers.errors import ConfigError
from trainers.optimization.recipe import OptimizationConfig
from trainers.tasks.segmentation.task import SegmentationConfig
from trainers.training.trial import train

AGAIN = OptimizationConfig(activation_checkpointing=True)


@pytest.mark.parametrize("bias", ["none", "gaussian"])
def test_a_training_gives_the_same_bits(trial, tmp_path, bias):
    """With dropped paths, which are drawn again alike; analyses in its middle compute nothing twice."""
    analysis = {"kind": "receptive_field", "num_images": 2, "every_epochs": 1}
    config = trial(attention_bias={"kind": bias}, analyses=[analysis])
    optimization = config.optimization.model_copy(update={"epochs": 2, "activation_checkpointing": True})
    again = config.model_copy(update={"optimization": optimization})
    once = config.model_copy(update={"optimization": config.optimization.model_copy(update={"epochs": 2})})
    assert numbers(train(again, stored(tmp_path / "again"))) == numbers(train(once, stored(tmp_path / "once")))
    assert_same_weights(tmp_path / "again", tmp_path / "once")


@pytest.mark.parametrize("name", BACKBONES)
def test_dense_backbones_keep_less_and_give_the_same_gradients(name):
    model, task = BACKBONES[name], SegmentationConfig(head=SMALL_UPERNET)
    network = task.network(model, ("a", "b"), position_seed=0, data_root=None).train()
    images = torch.randn(2, 3, model.input_size_px, model.input_size_px)
    kept, gradients = [], []
    for config in (OptimizationConfig(), AGAIN):
        torch.manual_seed(0)
        storages = {}

        def keep(tensor, storages=storages):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        network.zero_grad()
        with activation_checkpointing(task.backbone(network), config):
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                maps = network.features(images)
            sum(each.square().mean() for each in maps).backward()
        kept.append(sum(storages.values()))
        gradients.append([parameter.grad for parameter in network.features.parameters()])
    assert kept[1] < 0.7 * kept[0]
    assert all(torch.equal(once, again) for once, again in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (nn.Linear(1, 1), "Linear can't compute its activations again"),
        (nn.Sequential(nn.BatchNorm2d(1)), "Sequential has batch norms, whose running statistics"),
    ],
)
def test_a_model_that_can_not_is_refused(network, why):
    refused = f"optimization.activation_checkpointing: {why}"
    with pytest.raises(ConfigError, match=refused), activation_checkpointing(network, AGAIN):
        pass
