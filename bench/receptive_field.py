"""What batching buys: receptive fields of a batch against the definition image by image, interleaved, as ratios; and
what it buys that several targets share a forward pass, against one call for each.

    .venv/bin/python bench/receptive_field.py [--device cuda] [--rounds 5] [--models vit_relpos_small_patch16_224 ...]

Prints, for each model, images per second of both and the median ratio with its quartiles over rounds. The definition is
always in fp32; a call for one target computes the last block for that token only, which a shared pass can't.
"""

import argparse
import statistics
import time

import timm
import torch

from trainers.analyses.questions import ReceptiveFieldConfig
from trainers.analyses.receptive_field import receptive_fields
from trainers.analyses.targets import CenterTarget, LatticeTarget, TargetConfig, TokenTarget
from trainers.models.small_vit import SmallVitConfig

BATCH = 32
MIDDLE = CenterTarget()


def seconds(
    model: torch.nn.Module, batches: list[torch.Tensor], precision: str = "fp32", target: TargetConfig = MIDDLE
) -> float:
    started = time.perf_counter()
    receptive_fields(model, batches, ReceptiveFieldConfig(precision=precision, target=target))
    return time.perf_counter() - started


def shared_pass(model: torch.nn.Module, images: torch.Tensor, rounds: int) -> None:
    """Targets on a lattice: together, and one after the other."""
    side = model.patch_embed.grid_size[0]
    for per_side in (2, 3):
        lattice = LatticeTarget(per_side=per_side)
        tokens = [TokenTarget(row=row, column=column) for row, column in lattice.places(side, side)]
        ratios = []
        for _ in range(rounds):
            apart = sum(seconds(model, [images], target=token) for token in tokens)
            ratios.append(apart / seconds(model, [images], target=lattice))
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{'':30} {len(tokens)} targets share a pass: {middle:.2f} x (quartiles {low:.2f} to {high:.2f})")


def one_by_one(model: torch.nn.Module, images: torch.Tensor) -> float:
    """The definition, straightforwardly: one image, all gradients, the whole model."""
    started = time.perf_counter()
    model.eval()
    total = torch.zeros(images.shape[-2:], device=images.device)
    for image in images:
        leaf = image[None].detach().clone().requires_grad_()
        (features,) = model.forward_intermediates(leaf, [len(model.blocks) - 1], intermediates_only=True)
        row, column = ((side - 1) // 2 for side in features.shape[-2:])
        features[0, :, row, column].mean().backward()
        total += leaf.grad[0].mean(0).clamp(min=0)
    model.zero_grad(set_to_none=True)
    float(total.sum())
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=["small_vit", "vit_relpos_small_patch16_224"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.models:
        torch.manual_seed(0)
        if name == "small_vit":
            model = SmallVitConfig().build(10)
        else:
            model = timm.create_model(name, init_values=0) if "relpos" in name else timm.create_model(name)
        model = model.to(arguments.device)
        side = model.patch_embed.img_size[0]
        images = torch.randn(BATCH, 3, side, side, device=arguments.device)
        for precision in ("fp32", "bf16"):
            one_by_one(model, images[:2])
            seconds(model, [images[:2]], precision)
            ratios, speeds = [], []
            for _ in range(arguments.rounds):
                slow, fast = one_by_one(model, images), seconds(model, [images], precision)
                ratios.append(slow / fast)
                speeds.append((BATCH / slow, BATCH / fast))
            low, middle, high = statistics.quantiles(ratios, n=4)
            by_one, batched = (statistics.median(column) for column in zip(*speeds, strict=True))
            print(
                f"{name:30} {precision}  one by one {by_one:7.1f} images/s, batched {batched:7.1f}: "
                f"{middle:.2f} x (quartiles {low:.2f} to {high:.2f})"
            )
        shared_pass(model, images, arguments.rounds)


if __name__ == "__main__":
    main()
