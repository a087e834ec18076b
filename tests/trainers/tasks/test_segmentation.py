"""Segmentation: areas and losses by hand, windows that cover, heads on every kind of backbone, and whole trials."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.trainers.tasks.promises import assert_equal_arms_differ_by_exactly_nothing, assert_goes_on_bit_by_bit
from trainers.config import TrialConfig
from trainers.data.class_mask import UNSCORED
from trainers.data.normalization import Normalization
from trainers.errors import ConfigError
from trainers.export_note import ExportNote
from trainers.exported_weights import export_weights, load_exported
from trainers.models.bias import attached_biases
from trainers.models.feature_maps import FeatureMaps
from trainers.models.gaussian import GaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_model import TimmConfig
from trainers.runtime import Runtime
from trainers.tasks.evidence import read_class_scores, read_image_scores
from trainers.tasks.segmentation.areas import Areas, areas_of
from trainers.tasks.segmentation.modules import Logits
from trainers.tasks.segmentation.task import SegmentationConfig
from trainers.tasks.segmentation.windows import sliding_logits, starts, whole_logits
from trainers.tasks.shown_images import SHOWN_IMAGES, read_shown_images
from trainers.training.trial import train

TASK = SegmentationConfig()
LINEAR = {"kind": "linear"}
SMALL_UPERNET = {"kind": "upernet", "channels": 8, "auxiliary_channels": 4}
CPU = Runtime(device="cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def one_hot(masks, num_classes):
    """Logits of somebody who is sure."""
    return [20.0 * F.one_hot(mask, num_classes).movedim(-1, 0).float() for mask in masks]


# What is scored


def test_areas_by_hand():
    #        0 0 1        0 1 1
    # said   0 2 1  true  0 2 0   (the last pixel is not scored)
    said, true = torch.tensor([0, 0, 1, 0, 2]), torch.tensor([0, 1, 1, 0, 2])
    assert areas_of(said, true, 4).tolist() == [[2, 1, 1, 0], [3, 1, 1, 0], [2, 2, 1, 0]]


def test_metrics_are_those_of_the_whole_split_and_of_its_images():
    said = [torch.tensor([[0, 0, 1], [0, 2, 1]]), torch.tensor([[1, 1]])]
    true = [torch.tensor([[0, 1, 1], [0, 2, UNSCORED]]), torch.tensor([[1, 0]])]
    found = TASK.evidence([TASK.look(one_hot(said, 4), true, torch.tensor([7, 3]))])
    together = Areas.of_ranks([found])
    metrics = together.metrics()
    # Class 0: 2 right of 3 said and 3 true; class 1: 2 right of 3 and 3; class 2: 1 of 1; class 3 is nowhere.
    assert metrics["miou"] == pytest.approx((2 / 4 + 2 / 4 + 1) / 3)
    assert metrics["aacc"] == pytest.approx(5 / 7)
    assert metrics["macc"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert together.indices.tolist() == [3, 7]
    assert together.image_iou == pytest.approx([(1 / 2 + 0) / 2, (2 / 3 + 1 / 2 + 1) / 3])
    assert metrics["image_miou"] == pytest.approx(together.image_iou.mean())
    # Sure and wrong at 2 of 7 pixels.
    assert metrics["loss"] == pytest.approx(20 * 2 / 7, rel=1e-6)


def test_how_a_split_is_shared_out_changes_nothing():
    masks = [torch.randint(5, (6 + i, 9), generator=seeded(i)) for i in range(12)]
    logits = [torch.randn(5, 4, 4, generator=seeded(50 + i)) for i in range(12)]
    indices = torch.randperm(100, generator=seeded())[:12]

    def share(places):
        parts = [TASK.look([logits[i]], [masks[i]], indices[i : i + 1]) for i in places]
        return TASK.evidence(parts)

    alone = Areas.of_ranks([share(range(12))])
    shared = Areas.of_ranks([share(range(rank, 12, 5)) for rank in range(5)])
    assert shared.metrics() == alone.metrics()
    for name, array in alone.arrays().items():
        np.testing.assert_array_equal(shared.arrays()[name], array)


def test_an_image_without_a_scored_pixel_counts_nowhere():
    masks = [torch.full((4, 4), UNSCORED), torch.zeros(4, 4, dtype=torch.int64)]
    found = TASK.evidence([TASK.look([torch.randn(3, 4, 4, generator=seeded())] * 2, masks, torch.arange(2))])
    assert np.isnan(found.image_iou).tolist() == [True, False]
    assert found.metrics()["aacc"] == found.right.sum() / 16


# The loss


def test_the_loss_is_the_mean_over_all_pixels_of_which_those_that_are_not_learned_cost_nothing():
    logits = torch.randn(2, 3, 4, 4, generator=seeded())
    masks = torch.randint(3, (2, 8, 8), generator=seeded(1))
    masks[0, :3] = UNSCORED
    full = F.interpolate(logits, size=(8, 8), mode="bilinear", align_corners=False)
    main = F.cross_entropy(full, masks, ignore_index=UNSCORED) * (masks != UNSCORED).float().mean()
    assert torch.allclose(TASK.criterion((), torch.device("cpu"))(Logits(logits), masks), main)
    both = TASK.criterion((), torch.device("cpu"))(Logits(logits, logits, 0.4), masks)
    assert torch.allclose(both, 1.4 * main)
    nothing = torch.full_like(masks, UNSCORED)
    assert TASK.criterion((), torch.device("cpu"))(Logits(logits), nothing) == 0


# Windows


@pytest.mark.parametrize(("length", "size", "stride"), [(8, 8, 5), (9, 8, 5), (21, 8, 5), (24, 8, 8), (100, 32, 21)])
def test_windows_cover_a_side_from_its_begin_to_its_end(length, size, stride):
    found = starts(length, size, stride)
    assert (found[0], found[-1]) == (0, length - size)
    assert all(0 < later - earlier <= stride for earlier, later in pairwise(found))


@pytest.mark.parametrize("shape", [(8, 8), (8, 21), (13, 8), (17, 30)])
def test_a_network_that_looks_at_pixels_says_of_windows_what_it_says_of_the_image(shape):
    weights = torch.randn(4, 3, 1, 1, generator=seeded())
    image = torch.randn(3, *shape, generator=seeded(1))
    told = sliding_logits(lambda squares: F.conv2d(squares, weights), image, size_px=8, stride_px=5)
    assert torch.allclose(told, F.conv2d(image[None], weights)[0], atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 64), (37, 50)])
def test_a_network_that_looks_at_pixels_says_of_the_whole_image_what_it_says_of_its_pixels(shape):
    weights, seen = torch.randn(4, 3, 1, 1, generator=seeded()), []

    def network(images):
        seen.append(images.shape[-2:])
        return F.conv2d(images, weights)

    image = torch.randn(3, *shape, generator=seeded(1))
    assert torch.allclose(whole_logits(network, image), F.conv2d(image[None], weights)[0], atol=1e-5)
    assert all(side % 32 == 0 for size in seen for side in size)


@pytest.mark.parametrize("name", ["swin", "convnext"])
def test_whole_images_are_seen_by_models_of_any_size(name):
    task = SegmentationConfig(head=SMALL_UPERNET, scoring="whole")
    network = task.network(BACKBONES[name], ("a", "b"), position_seed=0, data_root=None).eval()
    with torch.inference_mode():
        told = task.outputs(network, [torch.randn(3, 70, 90, generator=seeded())], None)
    assert [tuple(each.shape) for each in told] == [(2, 70, 90)]
    with pytest.raises(ConfigError, match=r"sees squares of 32 pixels only.*let the task show squares"):
        task.network(BACKBONES["plain"], ("a", "b"), position_seed=0, data_root=None)


# Networks


BACKBONES = {
    "relpos": SmallVitConfig(width=12, depth=5, num_heads=2, image_size_px=32, position="rel_bias"),
    "plain": SmallVitConfig(width=12, depth=2, num_heads=2, image_size_px=32, position="absolute"),
    "swin": TimmConfig(
        name="swin_tiny_patch4_window7_224",
        image_size_px=64,
        arguments={"embed_dim": 12, "depths": [2, 2, 2], "num_heads": [2, 2, 2], "window_size": 4},
    ),
    "convnext": TimmConfig(
        name="convnext_atto", image_size_px=64, arguments={"dims": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}
    ),
}


@pytest.mark.parametrize("head", [LINEAR, SMALL_UPERNET], ids=["linear", "upernet"])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_parameter_of_every_backbone_and_head_learns(name, head):
    model, task = BACKBONES[name], SegmentationConfig(head=head)
    network = task.network(model, ("a", "b", "c"), position_seed=0, data_root=None).train()
    side = model.input_size_px
    images = torch.randn(4, 3, side, side, generator=seeded())
    outputs = task.outputs(network, images, torch.zeros(1))
    assert outputs.main.shape[:2] == (4, 3)
    loss = task.criterion((), torch.device("cpu"))(outputs, torch.randint(3, (4, side, side), generator=seeded(1)))
    loss.backward()
    # What lies behind the last map has been taken off, so nothing is trained for nothing.
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    assert sum(1 for _ in task.backbone(network).parameters()) < sum(1 for _ in network.parameters())


def test_swin_upernet_has_the_reference_implementations_number_of_parameters():
    """81 million: Swin-S of the Swin paper's table 3; 81.26 here, with 150 classes and both heads."""
    model = TimmConfig(name="swin_small_patch4_window7_224", image_size_px=512)
    with torch.device("meta"):
        features = FeatureMaps(model.build_fresh(0).to("meta"))
        head = TASK.head.build(features.channels, features.strides_px, 150)
    total = sum(parameter.numel() for module in (features, head) for parameter in module.parameters())
    assert round(total / 1e6, 2) == 81.26


def test_a_bias_reaches_every_layer_of_the_backbone_and_zero_height_changes_nothing():
    model, task = BACKBONES["relpos"], SegmentationConfig(head=SMALL_UPERNET)
    torch.manual_seed(0)
    network = task.network(model, ("a", "b"), position_seed=0, data_root=None).eval()
    images = torch.randn(2, 3, 32, 32, generator=seeded())
    with torch.no_grad():
        before = network(images).main
        GaussianBias(sigma=1.0).attach(task.backbone(network))
        assert len(attached_biases(network)) == model.depth
        with_bias = network(images).main
        for bias in attached_biases(network):
            bias.amplitude_param.zero_()
        without = network(images).main
    assert not torch.allclose(with_bias, before)
    assert torch.allclose(without, before, atol=1e-5)


def test_a_model_without_maps_is_refused():
    with pytest.raises(ConfigError, match="gives no maps of its layers"):
        FeatureMaps(torch.nn.Linear(1, 1))


def test_upernet_needs_two_maps():
    flat = BACKBONES["plain"].model_copy(update={"depth": 1})
    with pytest.raises(ConfigError, match=r"at least two layers.*linear"):
        TASK.network(flat, ("a", "b"), position_seed=0, data_root=None)


# Whole trials


@pytest.fixture
def shapes():
    def make(**changes) -> TrialConfig:
        base = {
            "task": {"kind": "segmentation", "head": LINEAR},
            "model": {"kind": "small_vit", "width": 24, "depth": 2, "num_heads": 2, "image_size_px": 32},
            "attention_bias": {"kind": "gaussian", "sigma": 1.5, "lr_multiplier": 10.0},
            "dataset": {"kind": "shapes", "image_size_px": 32, "num_train": 24, "num_val": 6, "num_test": 6},
            "augmentation": {"kind": "crop_flip"},
            "optimization": {"epochs": 2, "global_batch_size": 8, "optimizer": {"kind": "adamw", "lr": 0.003}},
        }
        return TrialConfig.model_validate(base | changes)

    return make


def test_a_trial_from_shapes_to_its_evidence(shapes, tmp_path):
    config = shapes(analyses=[{"kind": "receptive_field", "num_images": 4}])
    result = train(config, Runtime(device="cpu", storage=tmp_path))
    assert {name for name in result.metrics if name.startswith("test/")} == {
        *("test/loss", "test/miou", "test/aacc", "test/macc", "test/image_miou"),
    }
    best = max(result.epochs, key=lambda report: report.metrics["val/miou"])
    assert result.metrics["best_val/miou"] == best.metrics["val/miou"]
    found = read_image_scores(tmp_path / result.predictions_file, "test", "image_iou")
    assert np.nanmean(found.scores) == pytest.approx(result.metrics["test/image_miou"])
    with np.load(tmp_path / result.predictions_file) as kept:
        said = dict(zip(kept["test_index"].tolist(), kept["test_said"], strict=True))
    ious = read_class_scores(tmp_path / result.predictions_file, "test", "iou")
    assert np.nanmean(list(ious.values())) == pytest.approx(result.metrics["test/miou"])
    for image in read_shown_images(tmp_path / SHOWN_IMAGES).images:
        assert np.bincount(image.said.regions.ravel(), minlength=len(said[image.place])) == pytest.approx(
            said[image.place]
        )
    assert "receptive_field/rms_radius_tokens" in result.metrics
    note = export_weights(tmp_path, config, result, tmp_path / "out.safetensors")
    assert (note.task, note.timm, note.num_classes) == (config.task, None, 6)
    assert note.metrics["sigma/00"] == pytest.approx(result.epochs[result.best_epoch].metrics["sigma/00"])
    assert scored_again(load_exported(tmp_path / "out.safetensors"), config, note) == pytest.approx(
        result.metrics["test/miou"], abs=1e-6
    )


def scored_again(network: torch.nn.Module, config: TrialConfig, note: ExportNote) -> float:
    """Mean IoU on the test split, by what the file alone says."""
    data = config.dataset.load(None, input_size_px=note.input_size_px, augmentation=config.augmentation, seed=0)
    batch = data.test.__getitems__(range(len(data.test)))
    normalize = Normalization(note.input_mean, note.input_std)
    images = [normalize(image[None])[0] for image in batch.images]
    with torch.inference_mode():
        seen = note.task.look(note.task.outputs(network, images, None), batch.targets, batch.indices)
    return note.task.evidence([seen]).metrics()["miou"]


def test_eight_images_are_learned_by_heart(shapes):
    """Mean IoU on the training images themselves, after 150 steps: a few seconds of one core."""
    data = {"kind": "shapes", "image_size_px": 32, "num_train": 8, "num_val": 1, "num_test": 1}
    task = {"kind": "segmentation", "head": {"kind": "upernet", "channels": 32, "auxiliary_channels": 16}}
    config = shapes(task=task, dataset=data, augmentation={"kind": "none"})
    splits = config.dataset.load(None, input_size_px=32, augmentation=config.augmentation, seed=0)
    torch.manual_seed(0)
    network = config.task.network(config.model, splits.class_names, position_seed=0, data_root=None)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.003)
    images, masks, indices = splits.train.__getitems__(range(8))
    images = images.float() / 127.5 - 1
    network.train()
    for _ in range(150):
        optimizer.zero_grad()
        config.task.criterion((), torch.device("cpu"))(config.task.outputs(network, images, masks), masks).backward()
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        told = config.task.outputs(network, list(images), None)
    assert config.task.evidence([config.task.look(told, list(masks), indices)]).metrics()["miou"] > 0.7


@pytest.mark.parametrize("head", [LINEAR, SMALL_UPERNET], ids=["linear", "upernet"])
def test_a_killed_trial_goes_on_bit_by_bit(shapes, tmp_path, head):
    config = shapes(task={"kind": "segmentation", "head": head})
    assert_goes_on_bit_by_bit(config, tmp_path, looks=4, more_often_than=1)


def test_equal_arms_differ_by_exactly_nothing(shapes):
    assert_equal_arms_differ_by_exactly_nothing(shapes(), shapes(replica=1))


def test_task_data_and_augmentation_must_fit(shapes):
    digits = {"kind": "digits"}
    with pytest.raises(ValueError, match=r"learns a mask of each image, and the data set digits has a class"):
        shapes(dataset=digits)
    with pytest.raises(ValueError, match=r"learns a class of each image, and the data set shapes has a mask"):
        shapes(task={"kind": "classification"})
    with pytest.raises(ValueError, match=r"the augmentation paper moves images without their masks"):
        shapes(augmentation={"kind": "paper"})
