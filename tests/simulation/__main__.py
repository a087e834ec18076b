"""`make simulate`: many schedules, what they have reached, and the mutants that they catch.

python -m tests.simulation --seed 17            one schedule again
python -m tests.simulation --schedules 1000     seeds 0 to 999
python -m tests.simulation --mutants            who notices that a precaution is missing
"""

import argparse
import logging
import sys
import time

from tests.simulation.coverage import Coverage
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.scene import play


def simulate(first: int, number: int) -> tuple[list[int], Coverage]:
    """Seeds of schedules in which a promise was broken, each told with the line that replays it."""
    coverage, broken = Coverage(), []
    for seed in range(first, first + number):
        complaints, reached = play(seed)
        coverage.add(reached)
        if complaints:
            broken.append(seed)
            sys.stdout.write(f"FAILED  make simulate SEED={seed} SCHEDULES=1\n")
            sys.stdout.writelines(f"    {complaint}\n" for complaint in complaints[:5])
            sys.stdout.flush()
    return broken, coverage


def seed_that_catches(mutant: Mutant, first: int, number: int) -> int | None:
    """The first schedule in which somebody notices (`None`: nobody does)."""
    for seed in range(first, first + number):
        with mutant.alive():
            is_noticed = bool(play(seed)[0])
        # Else it is the schedule that is broken, whatever was taken out.
        if is_noticed and not play(seed)[0]:
            return seed
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--schedules", type=int, default=1, help="how many, one seed each")
    parser.add_argument("--mutants", action="store_true", help="take out one precaution after another")
    options = parser.parse_args()
    # Thousands of schedules would tell of thousands of faults.
    logging.disable(logging.CRITICAL)
    if options.mutants:
        return _hunt(options.seed, options.schedules)
    started = time.process_time()
    broken, coverage = simulate(options.seed, options.schedules)
    sys.stdout.write("\n".join(coverage.lines()) + "\n")
    sys.stdout.write(
        f"{options.schedules} schedules from seed {options.seed}, {len(broken)} with a broken promise, "
        f"{time.process_time() - started:.0f} s of CPU\n"
    )
    return bool(broken)


def _hunt(first: int, number: int) -> int:
    caught = 0
    for mutant in MUTANTS:
        started = time.process_time()
        seed = seed_that_catches(mutant, first, number)
        caught += seed is not None
        found = "NOT caught" if seed is None else f"caught by seed {seed}"
        sys.stdout.write(f"{mutant.name}: {found}, {time.process_time() - started:.1f} s of CPU\n")
        sys.stdout.flush()
    sys.stdout.write(f"{caught} of {len(MUTANTS)}\n")
    return caught != len(MUTANTS)


if __name__ == "__main__":
    sys.exit(main())
