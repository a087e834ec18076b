"""Detection: COCO's numbers against two oracles, the network on every kind of backbone, and whole trials."""

import contextlib
import io
import math

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from tests.trainers.tasks.promises import assert_equal_arms_differ_by_exactly_nothing, assert_goes_on_bit_by_bit
from trainers.config import TrialConfig
from trainers.data.objects import Objects, fitted_size, objects_of_masks
from trainers.data.shapes_objects import ShapesObjectsConfig, draw
from trainers.errors import ConfigError, DataError, NonFiniteLossError
from trainers.models.bias import attached_biases
from trainers.models.feature_maps import FeatureMaps
from trainers.models.gaussian import GaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_model import TimmConfig
from trainers.runtime import Runtime
from trainers.tasks.detection.coco import NAMES, found_boxes, found_masks, true_annotations
from trainers.tasks.detection.detections import Detections, read_detections
from trainers.tasks.detection.image_f1 import SURE
from trainers.tasks.detection.modules import DetectionNetwork, Found
from trainers.tasks.detection.task import DetectionConfig
from trainers.tasks.evidence import read_class_scores, write_evidence
from trainers.tasks.shown_images import SHOWN_IMAGES, read_shown_images
from trainers.training.trial import train

SMALL = {
    "kind": "detection",
    "channels": 16,
    "anchor_size_px": 8,
    "num_proposals": 20,
    "regions_per_image": 16,
    "box_channels": 32,
    "mask_channels": 8,
    "mask_layers": 1,
}
TASK = DetectionConfig.model_validate(SMALL)
CPU = Runtime(device="cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def boxed(classes, boxes, size, crowds=()):
    """Objects that fill their boxes."""
    masks = torch.zeros(len(boxes), *size, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 1
    is_crowd = torch.tensor([number in crowds for number in range(len(boxes))], dtype=torch.bool)
    return objects_of_masks(torch.tensor(classes, dtype=torch.int64), masks, is_crowd)


def found(boxes, classes, scores, size=(64, 64), masks=None):
    number = len(boxes)
    return Found(
        torch.tensor(boxes, dtype=torch.float32).reshape(number, 4),
        torch.tensor(classes, dtype=torch.int64),
        torch.tensor(scores, dtype=torch.float32),
        torch.ones(number, 1, 28, 28) if masks is None else masks,
        *size,
        torch.tensor(True),
    )


def random_split(num_images=30, num_classes=4):
    """Truth with crowds and empty images, and finds that are near it, double, elsewhere, or of another class."""
    random = np.random.RandomState(0)
    truth, told = [], []
    for number in range(num_images):
        # Sizes of all three kinds: below 32, below 96 and above.
        height, width = random.randint(120, 260, size=2)
        sides = [random.randint(5, 119, size=2) for _ in range(random.randint(5))]
        corners = [(random.randint(0, width - w), random.randint(0, height - h)) for w, h in sides]
        boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sides, strict=True)]
        classes = random.randint(num_classes, size=len(boxes)).tolist()
        truth.append(boxed(classes, boxes, (height, width), crowds={0} if number % 3 == 0 else ()))
        chosen = [i for i in range(len(boxes)) for _ in range(random.randint(3))]
        near = [boxes[i] for i in chosen] + [(3, 4, 40, 60)] * random.randint(2)
        told_classes = random.randint(num_classes, size=len(near))
        is_known = random.uniform(size=len(chosen)) < 0.7
        told_classes[: len(chosen)][is_known] = np.array(classes, dtype=int)[chosen][is_known]
        shifts = random.uniform(-5, 5, size=(len(near), 4))
        seen = (np.array(near, dtype=float).reshape(-1, 4) + shifts).clip(0, None)
        seen[:, 2:] = np.maximum(seen[:, 2:], seen[:, :2] + 2)
        shapes = torch.from_numpy(random.uniform(0.4, 1, size=(len(near), 1, 28, 28))).float()
        # Few values, so that many are equal.
        scores = random.randint(1, 10, size=len(near)) / 10
        size = fitted_size(height, width, 128, 128)
        told.append(found(seen * 128 / max(height, width), told_classes, scores, size, shapes))
    return told, truth


def evidence_of(told, truth, places=None):
    places = torch.arange(len(truth)) if places is None else torch.as_tensor(places)
    return Detections.of_ranks([TASK.evidence([TASK.look(told, truth, places)])])


# What is scored


def by_pycocotools(images, kind, results):
    truth = COCO()
    truth.dataset = true_annotations(images)
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def test_all_numbers_are_those_of_pycocotools():
    images = evidence_of(*random_split()).images
    metrics = Detections(images).metrics()
    for kind, name, results in (("bbox", "box", found_boxes(images)), ("segm", "mask", found_masks(images))):
        theirs = by_pycocotools(images, kind, results).stats
        ours = np.array([metrics[f"{each}_{name}"] for each in NAMES])
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
        assert (theirs > 0).sum() >= 10


def test_the_ap_of_every_class_is_that_of_pycocotools_and_none_where_nothing_is_of_it():
    images = evidence_of(*random_split()).images
    detections = Detections(images)
    # A class that is nowhere true; pycocotools has no fifth at all.
    scores = detections.class_scores(num_classes=5)
    for kind, name, results in (("bbox", "box", found_boxes(images)), ("segm", "mask", found_masks(images))):
        precision = by_pycocotools(images, kind, results).eval["precision"][:, :, :, 0, 2]
        theirs = [precision[:, :, place].mean() for place in range(4)]
        np.testing.assert_allclose(scores[f"ap_{name}"][:4], theirs, rtol=0, atol=1e-12)
        assert np.isnan(scores[f"ap_{name}"][4])
        assert np.nanmean(scores[f"ap_{name}"]) == pytest.approx(detections.metrics()[f"ap_{name}"], abs=1e-12)
    assert scores.keys() == {metric.name for metric in TASK.class_metrics}


TWO_AND_A_CROWD = boxed([0, 1, 0], [(0, 0, 20, 20), (30, 0, 50, 20), (0, 32, 64, 64)], (64, 64), crowds={2})


@pytest.mark.parametrize(
    ("finds", "expected"),
    [
        ([], 0),
        ([((0, 0, 20, 20), 0, 0.9), ((30, 0, 50, 20), 1, 0.6)], 1),
        # Too unsure; of another class; found twice; half of it found, of which 0.5 is enough.
        ([((0, 0, 20, 20), 0, 0.4)], 0),
        ([((0, 0, 20, 20), 1, 0.9)], 0),
        ([((0, 0, 20, 20), 0, 0.9), ((0, 0, 20, 20), 0, 0.8)], 2 * 1 / (2 * 1 + 1 + 1)),
        ([((0, 0, 20, 10), 0, 0.9)], 2 / 3),
        ([((0, 0, 20, 9), 0, 0.9)], 0),
        # In the crowd; beside it; in a crowd of another class.
        ([((0, 0, 20, 20), 0, 0.9), ((4, 40, 20, 60), 0, 0.9)], 2 / 3),
        ([((0, 0, 20, 20), 0, 0.9), ((4, 22, 20, 42), 0, 0.9)], 2 / 3),
        ([((0, 0, 20, 20), 0, 0.9), ((4, 20, 20, 41), 0, 0.9)], 2 / 4),
        ([((0, 0, 20, 20), 0, 0.9), ((4, 40, 20, 60), 1, 0.9)], 2 / 4),
    ],
)
def test_f1_of_one_image_by_hand(finds, expected):
    told = found([box for box, _, _ in finds], [each[1] for each in finds], [each[2] for each in finds])
    evidence = evidence_of([told], [TWO_AND_A_CROWD])
    assert evidence.arrays()["image_f1_box"] == pytest.approx([expected])
    assert evidence.metrics()["image_f1_box"] == pytest.approx(expected)


def test_an_image_without_objects_is_right_where_nothing_is_found_in_it():
    truth = [boxed([0], [(0, 0, 20, 20)], (64, 64)), boxed([], [], (64, 64)), boxed([], [], (64, 64))]
    told = [found([(0, 0, 20, 20)], [0], [0.9]), found([], [], []), found([(0, 0, 20, 20)], [0], [0.9])]
    arrays = evidence_of(told, truth).arrays()
    assert arrays["image_f1_box"].tolist() == [1, 1, 0]
    # torchvision's masks reach one pixel beyond their box: 21 x 21 of 20 x 20 pixels.
    assert arrays["image_f1_mask"].tolist() == [1, 1, 0]


def test_who_finds_everything_has_one_everywhere():
    truth = [boxed([0, 1], [(2, 3, 20, 30), (30, 8, 60, 50)], (64, 64)), boxed([], [], (64, 64))]
    told = [found(truth[0].boxes.tolist(), [0, 1], [0.9, 0.8]), found([], [], [])]
    metrics = evidence_of(told, truth).metrics()
    # There is no large object, and of no size no number; one of two classes is small, the other medium.
    told = {name for name in (*NAMES, "image_f1") if "large" not in name}
    assert metrics.keys() == {f"{name}_{kind}" for kind in ("box", "mask") for name in told}
    assert {value for name, value in metrics.items() if name.endswith("_box")} == {1.0}
    # torchvision's masks reach one pixel beyond their box, at the right and below it.
    assert min(metrics.values()) >= 0.9


def test_nothing_found_is_zero_and_a_crowd_is_neither_right_nor_wrong():
    truth = [boxed([0, 0], [(2, 3, 20, 30), (30, 8, 60, 50)], (64, 64), crowds={1})]
    assert evidence_of([found([], [], [])], truth).metrics()["ap_box"] == 0
    told = [found([(2, 3, 20, 30), (31, 10, 50, 40)], [0, 0], [0.5, 0.9])]
    assert evidence_of(told, truth).metrics()["ap_box"] == 1


def test_boxes_and_masks_are_those_of_the_stored_image():
    """640 x 427 seen as 64 x 43: what lies below it is not of the image."""
    truth = boxed([0], [(100, 50, 300, 200)], (427, 640))
    told = found(
        [(10, 50 * 43 / 427, 30, 200 * 43 / 427), (10, 50, 20, 60), (40, 30, 64, 64)],
        [0, 1, 2],
        [0.9, 0.8, 0.7],
        (43, 64),
    )
    (image,) = evidence_of([told], [truth]).images
    np.testing.assert_allclose(image.found.boxes, [(100, 50, 300, 200), (400, 30 * 427 / 43, 640, 427)], rtol=1e-5)
    assert image.found.classes.tolist() == [0, 2]
    assert (image.height_px, image.width_px) == (427, 640)
    assert image.areas_px.tolist() == [200 * 150]
    assert evidence_of([told], [truth]).metrics()["ap_mask"] == 1


def test_how_a_split_is_shared_out_changes_nothing(tmp_path):
    told, truth = random_split(12)
    places = torch.randperm(100, generator=seeded())[:12]

    def share(chosen):
        return TASK.evidence([TASK.look([told[i]], [truth[i]], places[i : i + 1]) for i in chosen])

    alone = Detections.of_ranks([share(range(12))])
    # The last rank's first image has been scored by another one, too.
    shared = Detections.of_ranks([share(range(rank, 12, 5)) for rank in range(4)] + [share([0, 4, 9])])
    assert shared.metrics() == alone.metrics()
    assert alone.arrays()["index"].tolist() == sorted(places.tolist())
    for name, array in alone.arrays().items():
        np.testing.assert_array_equal(shared.arrays()[name], array)
    write_evidence(tmp_path / "p.npz", {"val": alone, "test": evidence_of(*random_split(3))}, ("a", "b", "c", "d"))
    again = read_detections(tmp_path / "p.npz", "val")
    assert again.metrics() == alone.metrics()
    for name, array in alone.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_a_split_without_objects_can_not_be_scored():
    crowd = boxed([0], [(2, 3, 20, 30)], (64, 64), crowds={0})
    with pytest.raises(DataError, match=r"there is no object to be found in the 1 scored images.*no crowds"):
        evidence_of([found([], [], [])], [crowd]).metrics()


def test_a_network_without_numbers_is_not_told_as_a_modest_one():
    told = found([], [], [])._replace(is_finite=torch.tensor(False))
    metrics = evidence_of([told], [boxed([0], [(2, 3, 20, 30)], (64, 64))]).metrics()
    assert metrics.keys() == {metric.name for metric in TASK.metrics}
    assert all(math.isnan(value) for value in metrics.values())


# Networks


BACKBONES = {
    "plain": SmallVitConfig(width=12, depth=2, num_heads=2, image_size_px=32, position="rel_bias"),
    "swin": TimmConfig(
        name="swin_tiny_patch4_window7_224",
        image_size_px=64,
        arguments={"embed_dim": 12, "depths": [2, 2, 2], "num_heads": [2, 2, 2], "window_size": 4},
    ),
    "convnext": TimmConfig(
        name="convnext_atto", image_size_px=64, arguments={"dims": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}
    ),
}


def drawn(number=2, size_px=32) -> tuple[torch.Tensor, list[Objects]]:
    config = ShapesObjectsConfig(image_size_px=size_px)
    drawings = [draw(config, index) for index in range(number)]
    images = torch.stack([torch.from_numpy(each.pixels) for each in drawings]).movedim(-1, 1).float() / 255
    objects = [
        objects_of_masks(
            torch.from_numpy(each.classes),
            torch.from_numpy(each.masks).to(torch.uint8),
            torch.zeros(len(each.classes), dtype=torch.bool),
        )
        for each in drawings
    ]
    return images, objects


@pytest.mark.parametrize("name", BACKBONES)
def test_every_parameter_of_every_backbone_learns(name):
    model = BACKBONES[name]
    network = TASK.network(model, ("a", "b", "c"), position_seed=0, data_root=None).train()
    images, targets = drawn(4, model.input_size_px)
    losses = TASK.outputs(network, images, targets)
    assert losses.keys() == {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask"}
    TASK.criterion((), torch.device("cpu"))(losses, targets).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    told = TASK.outputs(network.eval(), images, None)
    assert len(told) == 4
    assert {(each.height_px, each.width_px) for each in told} == {images.shape[-2:]}
    assert all(bool(each.is_finite) for each in told)


ANY_SIZE = DetectionConfig.model_validate(SMALL | {"view": {"kind": "short_side", "short_side_px": 48}})


@pytest.mark.parametrize("name", ["swin", "convnext"])
def test_images_of_several_sizes_are_filled_up_as_torchvision_does(name):
    network = ANY_SIZE.network(BACKBONES[name], ("a", "b"), position_seed=0, data_root=None).eval()
    images = [torch.randn(3, *size, generator=seeded()) for size in ((40, 90), (70, 50))]
    seen = []
    network.features.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    with torch.inference_mode():
        told = ANY_SIZE.outputs(network, images, None)
    theirs = GeneralizedRCNNTransform(1, 1, [0.0] * 3, [1.0] * 3).batch_images(images, size_divisible=32)
    assert torch.equal(seen[0], theirs)
    assert theirs.shape == (2, 3, 96, 96)
    assert [(each.height_px, each.width_px) for each in told] == [(40, 90), (70, 50)]
    assert max(len(each.boxes) for each in told) > 0
    for each in told:
        assert (each.boxes >= 0).all()
        assert (each.boxes <= torch.tensor([each.width_px, each.height_px] * 2)).all()


def test_regions_lie_where_they_lie_in_the_image_however_much_is_filled_up():
    """torchvision guesses strides from its first batch; of 40 x 90 pixels in 64 x 96 it would take 2 for 4."""
    network = ANY_SIZE.network(BACKBONES["swin"], ("a", "b"), position_seed=0, data_root=None).eval()
    with torch.inference_mode():
        ANY_SIZE.outputs(network, [torch.rand(3, 40, 90, generator=seeded())], None)
    for regions in (network.roi_heads.box_roi_pool, network.roi_heads.mask_roi_pool):
        assert regions.scales == [1 / stride for stride in network.features.strides_px]
        # Each place of the maps tells its own column, in pixels of the image.
        maps = {
            str(level): (torch.arange(96 // stride) + 0.5).mul(stride).expand(1, 1, 64 // stride, -1)
            for level, stride in enumerate(network.features.strides_px)
        }
        looked = regions(maps, [torch.tensor([[16.0, 8.0, 72.0, 32.0]])], [(40, 90)])
        assert looked.mean() == pytest.approx((16 + 72) / 2, abs=2.1)


def test_squares_are_filled_up_to_the_models_input():
    network = TASK.network(BACKBONES["plain"], ("a", "b"), position_seed=0, data_root=None).eval()
    with torch.inference_mode():
        (told,) = TASK.outputs(network, [torch.rand(3, 20, 32, generator=seeded())], None)
    assert (told.height_px, told.width_px) == (20, 32)


def test_models_of_one_size_are_not_shown_several():
    assert [model.takes_any_size for model in BACKBONES.values()] == [False, True, True]
    with pytest.raises(ConfigError, match=r"sees squares of 32 pixels only.*take a Swin or a CNN"):
        ANY_SIZE.network(BACKBONES["plain"], ("a", "b"), position_seed=0, data_root=None)


def test_images_without_objects_and_crowds_are_learned_from_as_ground():
    network = TASK.network(BACKBONES["plain"], ("a", "b"), position_seed=0, data_root=None).train()
    crowd = boxed([1], [(2, 3, 20, 30)], (32, 32), crowds={0})
    targets = [crowd, boxed([], [], (32, 32))]
    losses = TASK.outputs(network, torch.rand(2, 3, 32, 32, generator=seeded()), targets)
    assert losses["loss_mask"] == losses["loss_box_reg"] == losses["loss_rpn_box_reg"] == 0
    TASK.criterion((), torch.device("cpu"))(losses, targets).backward()
    # Ranks wait for every parameter's gradient.
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_boxes_and_losses_are_fp32_under_bf16():
    network = TASK.network(BACKBONES["swin"], ("a", "b", "c"), position_seed=0, data_root=None)
    images, targets = drawn(2, 64)
    with torch.autocast("cpu", torch.bfloat16):
        losses = TASK.outputs(network.train(), images, targets)
        told = TASK.outputs(network.eval(), images, None)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    assert {each.boxes.dtype for each in told} == {each.scores.dtype for each in told} == {torch.float32}


def test_swin_mask_rcnn_has_the_reference_implementations_number_of_parameters():
    """69 million: Swin-S of the Swin paper's table 2; 69.17 here, with 91 outputs (COCO's ids up to 90, and ground)."""
    model = TimmConfig(name="swin_small_patch4_window7_224", image_size_px=512)
    with torch.device("meta"):
        network = DetectionNetwork(DetectionConfig(), FeatureMaps(model.build_fresh(0).to("meta")), 90, square_px=None)
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2) == 69.17


def test_a_bias_reaches_every_layer_of_the_backbone_and_zero_height_changes_nothing():
    model = BACKBONES["plain"]
    network = TASK.network(model, ("a", "b"), position_seed=0, data_root=None).eval()
    images, _ = drawn()

    def maps():
        with torch.no_grad():
            return network.pyramid(network.features(images))["0"]

    before = maps()
    GaussianBias(sigma=1.0).attach(TASK.backbone(network))
    assert len(attached_biases(network)) == model.depth
    assert not torch.allclose(maps(), before, atol=1e-5)
    for bias in attached_biases(network):
        bias.amplitude_param.data.zero_()
    assert torch.allclose(maps(), before, atol=1e-5)


def test_what_a_pass_costs_is_counted_with_its_regions():
    model = BACKBONES["plain"]
    more = DetectionConfig.model_validate(SMALL | {"regions_per_image": 32})
    assert 0 < TASK.forward_flops_per_image(model) < more.forward_flops_per_image(model)


# Whole trials


@pytest.fixture
def shapes():
    def make(**changes) -> TrialConfig:
        base = {
            "task": SMALL,
            "model": {"kind": "small_vit", "width": 24, "depth": 2, "num_heads": 2, "image_size_px": 32},
            "attention_bias": {"kind": "gaussian", "sigma": 1.5, "lr_multiplier": 10.0},
            "dataset": {"kind": "shapes_objects", "image_size_px": 32, "num_train": 12, "num_val": 8, "num_test": 8},
            "augmentation": {"kind": "crop_flip"},
            "optimization": {"epochs": 2, "global_batch_size": 4, "optimizer": {"kind": "adamw", "lr": 0.003}},
        }
        return TrialConfig.model_validate(base | changes)

    return make


def test_a_trial_from_shapes_to_its_evidence(shapes, tmp_path):
    config = shapes(analyses=[{"kind": "receptive_field", "num_images": 4}])
    result = train(config, Runtime(device="cpu", storage=tmp_path))
    # No object of 32 x 32 pixels is medium or large.
    sizes = ("ap", "ap50", "ap75", "ap_small", "ar1", "ar10", "ar100", "ar_small", "image_f1")
    expected = {f"test/{name}_{kind}" for name in sizes for kind in ("box", "mask")}
    assert {name for name in result.metrics if name.startswith("test/")} == expected
    assert result.metrics["best_val/ap_box"] == max(report.metrics["val/ap_box"] for report in result.epochs)
    test = read_detections(tmp_path / result.predictions_file, "test")
    assert test.metrics()["ap_mask"] == result.metrics["test/ap_mask"]
    aps = read_class_scores(tmp_path / result.predictions_file, "test", "ap_box")
    assert np.nanmean(list(aps.values())) == pytest.approx(result.metrics["test/ap_box"])
    shown = read_shown_images(tmp_path / SHOWN_IMAGES)
    assert [image.place for image in shown.images] == [image.place for image in test.images]
    for image, scored in zip(shown.images, test.images, strict=True):
        assert sorted(image.true.classes) == sorted(scored.true.classes)
        assert sorted(image.said.classes) == sorted(scored.found.classes[scored.scores >= SURE])
    assert "receptive_field/rms_radius_tokens" in result.metrics


def test_eight_images_are_learned_by_heart(shapes):
    """On the training images themselves: half a minute of one core."""
    model = {"kind": "small_vit", "width": 32, "depth": 2, "num_heads": 2, "image_size_px": 64, "patch_size_px": 8}
    task = DetectionConfig.model_validate(SMALL | {"channels": 32, "box_channels": 64, "anchor_size_px": 12})
    config = shapes(model=model, task=task.model_dump(), dataset={"kind": "shapes_objects"})
    images, targets = drawn(8, 64)
    torch.manual_seed(0)
    network = task.network(config.model, ("a", "b", "c"), position_seed=0, data_root=None).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.003)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.003 if step < 140 else 0.001
        optimizer.zero_grad()
        task.criterion((), torch.device("cpu"))(task.outputs(network, images - 0.5, targets), targets).backward()
        optimizer.step()
    with torch.inference_mode():
        told = task.outputs(network.eval(), images - 0.5, None)
        metrics = evidence_of(told, targets).metrics()
    assert metrics["ap_box"] > 0.5
    # Its masks are those of one layer of 8 channels.
    assert metrics["ap_mask"] > 0.4


SEVERAL_SIZES = {
    "task": SMALL | {"view": {"kind": "short_side", "short_side_px": 40, "max_long_side_px": 80}},
    "model": {"kind": "timm", "name": BACKBONES["swin"].name, "drop_path": 0.2, "image_size_px": 64}
    | {"arguments": BACKBONES["swin"].arguments},
    "augmentation": {
        "kind": "multi_scale",
        "short_sides_px": [32, 40, 48],
        "max_long_side_px": 60,
        "crop_short_sides_px": [40],
        "min_crop_px": 24,
        "max_crop_px": 40,
    },
}


@pytest.mark.parametrize("changes", [{}, SEVERAL_SIZES], ids=["squares", "several_sizes"])
def test_a_killed_trial_goes_on_bit_by_bit(shapes, tmp_path, changes):
    config = shapes(**changes)
    assert_goes_on_bit_by_bit(config, tmp_path, looks=4, more_often_than=1)


@pytest.mark.parametrize("changes", [{}, SEVERAL_SIZES], ids=["squares", "several_sizes"])
def test_equal_arms_differ_by_exactly_nothing(shapes, changes):
    assert_equal_arms_differ_by_exactly_nothing(shapes(**changes), shapes(**changes, replica=1))


def test_a_training_that_diverges_says_so(shapes):
    wild = {"epochs": 2, "global_batch_size": 4, "optimizer": {"kind": "sgd", "lr": 100.0}}
    with pytest.raises(NonFiniteLossError):
        train(shapes(optimization=wild), CPU)


def test_task_data_and_augmentation_must_fit(shapes):
    with pytest.raises(ValueError, match=r"learns the objects of each image, and the data set digits has a class"):
        shapes(dataset={"kind": "digits"})
    with pytest.raises(ValueError, match=r"learns a class of each image, and the data set shapes_objects has the obj"):
        shapes(task={"kind": "classification"})
    with pytest.raises(ValueError, match=r"the augmentation paper moves images without their masks"):
        shapes(augmentation={"kind": "paper"})
    with pytest.raises(
        ValueError, match=r"multi_scale makes images of several sizes, and the task detection is trained"
    ):
        shapes(augmentation={"kind": "multi_scale"})
