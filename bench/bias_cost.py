"""What the Gaussian costs: training steps of treatment and control, interleaved, as ratios.

    .venv/bin/python bench/bias_cost.py [--device cuda] [--rounds 20] [--attention fastest]

Prints, for each position embedding of the demo's ViT, the median ratio of the time of one training step with the
Gaussian to one without, and its quartiles over rounds. On a CPU the clock is this process' own, so that other
processes on the machine matter little.
"""

import argparse
import statistics
import time

import torch

from trainers.attention_kernels import chosen_kernels, match_plain_attention
from trainers.models.gaussian import GaussianBias
from trainers.models.small_vit import SmallVitConfig

STEPS_PER_ROUND = 4


def seconds_per_round(model: torch.nn.Module, images: torch.Tensor) -> float:
    clock = time.perf_counter if images.is_cuda else time.process_time
    started = clock()
    for _ in range(STEPS_PER_ROUND):
        model.zero_grad(set_to_none=True)
        model(images).square().mean().backward()
    if images.is_cuda:
        torch.cuda.synchronize()
    return clock() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--attention", choices=["matched", "fastest"], default="matched")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = torch.randn(50, 3, 32, 32, device=arguments.device)
    for position in ("rel_bias", "rel_mlp", "absolute"):
        models = []
        for has_bias in (False, True):
            torch.manual_seed(0)
            model = SmallVitConfig(position=position).build(10)
            if has_bias:
                GaussianBias(sigma=2.0).attach(model)
            match_plain_attention(model, arguments.attention, images.device)
            models.append(model.to(arguments.device).train())
        ratios = []
        with chosen_kernels(arguments.attention, images.device):
            for model in models:
                seconds_per_round(model, images)
            for _ in range(arguments.rounds):
                control, treatment = (seconds_per_round(model, images) for model in models)
                ratios.append(treatment / control)
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{position:9} treatment / control = {middle:.2f} (quartiles {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
