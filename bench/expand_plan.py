"""Time the expansion of large specs (target: 10,000 trials in less than a second): `python bench/expand_plan.py`."""

import time

from orchestrator.planning.expansion import Expansion
from orchestrator.spec.experiment import ExperimentSpec, parse_spec


def spec_of(num_models: int, num_arms: int, num_seeds: int) -> ExperimentSpec:
    """A spec with so many trials, on one data set."""
    return parse_spec(
        {
            "name": "bench",
            "models": [{"kind": "small_vit", "width": 12 * (index + 1)} for index in range(num_models)],
            "datasets": [{"kind": "digits"}],
            "arms": [{"name": "control", "role": "control"}]
            + [
                {"name": f"sigma-{index}", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 1.0 + index}}}
                for index in range(num_arms - 1)
            ],
            "seeds": list(range(num_seeds)),
        }
    )


def main() -> None:
    """Print one line per shape."""
    # Source is read once per process, not once per spec.
    Expansion(spec_of(1, 2, 1), data_root=None)
    for shape in ((1, 2, 5000), (10, 10, 100), (100, 10, 10), (100, 50, 2)):
        spec = spec_of(*shape)
        start = time.perf_counter()
        expansion = Expansion(spec, data_root=None)
        validated = time.perf_counter()
        trials = expansion.confirm_trials({})
        end = time.perf_counter()
        models, arms, seeds = shape
        print(
            f"{len(trials):,} trials = {models} cells x {arms} arms x {seeds} seeds: {end - start:.3f} s "
            f"(validation {validated - start:.3f} s)"
        )


if __name__ == "__main__":
    main()
