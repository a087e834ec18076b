"""Detection and segmentation: a step with the Gaussian, with activations computed twice, and against plain loops."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator

from bench.gpu.figure import Figure, in_turns
from bench.gpu.steps import finish
from trainers.attention_kernels import chosen_kernels, match_plain_attention
from trainers.config import TrialConfig
from trainers.data.objects import Objects, objects_of_masks
from trainers.initial_model import initial_network
from trainers.models.feature_maps import FeatureMaps
from trainers.tasks.detection.modules import Pyramid

SWIN = "swin_small_patch4_window7_224"
SMALL_SWIN = {"embed_dim": 24, "depths": [2, 2, 2, 2], "num_heads": [2, 2, 4, 4]}
CLASSES = ("ground", "disc", "square")
ROUNDS, STEPS = 7, 4
GAUSSIAN = {"kind": "gaussian", "sigma": 5.0, "lr_multiplier": 1.0}


def measure(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """Swin-S in bf16, two images of the paper's size; on a CPU a Swin of 24 channels in fp32."""
    for task in ("segmentation", "detection"):
        yield from _of_task(task, device, is_small=is_small)


def _of_task(task: str, device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    side = 64 if is_small else {"segmentation": 512, "detection": 800}[task]
    batch, rounds = 2, 1 if is_small else ROUNDS
    name = "a Swin of 24 channels" if is_small else SWIN
    facts: Mapping[str, Any] = {"rounds": rounds, "note": f"batch {batch}, {side} pixels"}
    step = partial(_step, _config(task, side, is_small=is_small), device, batch)
    control = step()
    yield in_turns(f"{task} step with the Gaussian / without, {name}, eager", step(GAUSSIAN), control, **facts)
    yield in_turns(f"{task} step with activations computed twice / once, {name}", step(is_twice=True), control, **facts)
    yield in_turns(f"{task} step in channels_last / contiguous, {name}", step(is_last=True), control, **facts)
    yield in_turns(
        f"{task}: images per second of our network / {PLAIN[task][0]}, {name}",
        # Seconds are the other way round.
        _plain_step(task, device, side, batch, is_small=is_small),
        step(is_bare=True),
        goal="at least 1.0",
        **facts,
    )


def _config(task: str, side: int, *, is_small: bool) -> TrialConfig:
    tasks: Mapping[str, Mapping[str, Any]] = {
        "segmentation": {"kind": "segmentation", "head": {"kind": "upernet", "channels": 32 if is_small else 512}},
        "detection": {"kind": "detection"},
    }
    small = {"channels": 32, "num_proposals": 50, "regions_per_image": 32, "box_channels": 64, "mask_channels": 16}
    arguments = {"arguments": SMALL_SWIN} if is_small else {}
    return TrialConfig.model_validate(
        {
            "task": tasks[task] | (small if is_small and task == "detection" else {}),
            "model": {"kind": "timm", "name": SWIN, "image_size_px": side} | arguments,
            "dataset": {"kind": "shapes" if task == "segmentation" else "shapes_objects"},
            "attention_bias": {"kind": "none"},
        }
    )


def _step(
    config: TrialConfig,
    device: torch.device,
    batch: int,
    bias: Mapping[str, Any] | None = None,
    *,
    is_twice: bool = False,
    is_last: bool = False,
    is_bare: bool = False,
) -> Callable[[], float]:
    """Seconds of a few of our training steps.

    Args:
        config: of the control.
        device: where.
        batch: images.
        bias: of the arm.
        is_twice: whether the backbone's activations are computed again in the backward pass.
        is_last: whether weights and images are in channels_last.
        is_bare: whether the second head, which the plain network lacks, is left out.
    """
    document = config.model_dump() | ({} if bias is None else {"attention_bias": bias})
    if is_bare and config.task.kind == "segmentation":
        document["task"]["head"]["auxiliary_weight"] = 0.0
    arm = TrialConfig.model_validate(document)
    network = initial_network(arm, CLASSES, None).train()
    match_plain_attention(network, "matched", device)
    if device.type == "cuda":
        arm.task.keep_precise(network)
    if is_twice:
        arm.task.backbone(network).set_grad_checkpointing(True)  # type: ignore[operator]
    layout = torch.channels_last if is_last else torch.contiguous_format
    network = network.to(device, memory_format=layout)
    images, targets = _batch(arm, device, batch)
    images = images.contiguous(memory_format=layout)
    seen: Tensor | list[Tensor] = images if arm.task.kind == "segmentation" else list(images)

    def loss() -> Tensor:
        with _autocast(device):
            outputs = arm.task.outputs(network, seen, targets)
        total: Tensor = arm.task.criterion((), device)(outputs, targets)
        return total

    return _timed(network, loss, device)


def _batch(config: TrialConfig, device: torch.device, batch: int) -> tuple[Tensor, Any]:
    side = config.model.input_size_px
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, side, side, generator=generator).to(device)
    if config.task.kind == "segmentation":
        return images, torch.randint(len(CLASSES), (batch, side, side), generator=generator).to(device)
    return images, [_objects(side, device) for _ in range(batch)]


def _objects(side: int, device: torch.device) -> Objects:
    """Eight squares, as many as COCO has in the mean."""
    masks = torch.zeros(8, side, side, dtype=torch.uint8, device=device)
    for number, mask in enumerate(masks):
        start, length = number * side // 10, side // 8 + number * side // 40
        mask[start : start + length, start // 2 : start // 2 + length] = 1
    numbers = torch.arange(8, device=device)
    return objects_of_masks(numbers % (len(CLASSES)), masks, torch.zeros(8, dtype=torch.bool, device=device))


class _Maps(nn.Module):
    """The same backbone, norms and pyramid, as torchvision's detectors take one."""

    def __init__(self, config: TrialConfig, channels: int) -> None:
        super().__init__()
        self.features = FeatureMaps(config.model.for_maps().build(0))  # type: ignore[attr-defined]
        self.pyramid = Pyramid(self.features.channels, self.features.strides_px, channels)
        self.out_channels = channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        levels: dict[str, Tensor] = self.pyramid(self.features(images))
        return levels


def _plain_segmenter(config: TrialConfig, side: int, *, is_small: bool) -> nn.Module:
    arguments = SMALL_SWIN if is_small else {}
    network: nn.Module = smp.UPerNet(
        f"tu-{SWIN}",
        encoder_weights=None,
        classes=len(CLASSES),
        decoder_channels=32 if is_small else 512,
        img_size=side,
        always_partition=True,
        **arguments,
    )
    return network


def _plain_detector(config: TrialConfig, side: int, *, is_small: bool) -> nn.Module:
    task: Any = config.task
    backbone = _Maps(config, task.channels)
    network: nn.Module = MaskRCNN(
        backbone,
        min_size=side,
        max_size=side,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        rpn_anchor_generator=AnchorGenerator(
            sizes=tuple((task.anchor_size_px * 2**level,) for level in range(5)), aspect_ratios=((0.5, 1.0, 2.0),) * 5
        ),
        rpn_pre_nms_top_n_train=2 * task.num_proposals,
        rpn_post_nms_top_n_train=task.num_proposals,
        box_head=TwoMLPHead(task.channels * 49, task.box_channels),
        box_predictor=FastRCNNPredictor(task.box_channels, len(CLASSES) + 1),
        box_batch_size_per_image=task.regions_per_image,
        mask_head=MaskRCNNHeads(task.channels, (task.mask_channels,) * task.mask_layers, dilation=1),
        mask_predictor=MaskRCNNPredictor(task.mask_channels, task.mask_channels, len(CLASSES) + 1),
    )
    return network


PLAIN: Mapping[str, tuple[str, Callable[..., nn.Module]]] = {
    "segmentation": ("smp's UPerNet", _plain_segmenter),
    "detection": ("torchvision's Mask R-CNN", _plain_detector),
}


def _plain_step(task: str, device: torch.device, side: int, batch: int, *, is_small: bool) -> Callable[[], float]:
    """Seconds of a few steps as smp's and torchvision's own examples take them."""
    config = _config(task, side, is_small=is_small)
    torch.manual_seed(0)
    network = PLAIN[task][1](config, side, is_small=is_small).train().to(device)
    images, targets = _batch(config, device, batch)
    if task == "segmentation":

        def loss() -> Tensor:
            with _autocast(device):
                logits = network(images)
            return F.cross_entropy(logits.float(), targets)
    else:
        asked = [{"boxes": each.boxes, "labels": each.classes + 1, "masks": each.masks} for each in targets]

        def loss() -> Tensor:
            with _autocast(device):
                losses: Sequence[Tensor] = list(network(list(images), asked).values())
            return torch.stack([each.float() for each in losses]).sum()

    return _timed(network, loss, device)


def _timed(network: nn.Module, loss: Callable[[], Tensor], device: torch.device) -> Callable[[], float]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    # On a CPU that others use too, the process' own time.
    clock, num_steps = (time.perf_counter, STEPS) if device.type == "cuda" else (time.process_time, 1)

    def seconds() -> float:
        finish(device)
        started = clock()
        with chosen_kernels("matched", device):
            for _ in range(num_steps):
                loss().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        finish(device)
        return clock() - started

    return seconds


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
