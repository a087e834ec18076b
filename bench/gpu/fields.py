"""Receptive fields of a batch against the definition image by image."""

import time
from collections.abc import Iterator

import timm
import torch

from bench.gpu.figure import Figure, in_turns
from bench.gpu.steps import finish, side_px
from bench.receptive_field import one_by_one
from trainers.analyses.receptive_field import ReceptiveFieldConfig, receptive_fields

NAME, NUM_IMAGES, ROUNDS = "vit_relpos_small_patch16_224", 64, 5


def measure(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """The definition is always in fp32."""
    torch.manual_seed(0)
    side = side_px(is_small)
    model = timm.create_model(NAME, init_values=0, img_size=side).to(device)
    images = torch.randn(4 if is_small else NUM_IMAGES, 3, side, side, device=device)
    for precision in ("fp32", "bf16"):

        def batched(precision: str = precision) -> float:
            finish(device)
            started = time.perf_counter()
            receptive_fields(model, [images], ReceptiveFieldConfig(precision=precision))
            finish(device)
            return time.perf_counter() - started

        yield in_turns(
            f"receptive field image by image / batched, {NAME}, {precision}",
            lambda: one_by_one(model, images),
            batched,
            rounds=2 if is_small else ROUNDS,
            note=f"{len(images)} images",
            goal="at least 10",
        )
