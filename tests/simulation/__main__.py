"""`make simulate`: many schedules, what they have reached, and the mutants that they catch.

python -m tests.simulation --seed 17            one schedule again
python -m tests.simulation --schedules 1000     seeds 0 to 999
python -m tests.simulation --mutants            who notices that a precaution is missing
python -m tests.simulation --write ...          the same, and docs/guarantees.md is written
"""

import argparse
import logging
import sys
import time

from tests.simulation.coverage import Coverage
from tests.simulation.guarantees import write
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
    parser.add_argument("--write", action="store_true", help="put the figures into docs/guarantees.md")
    options = parser.parse_args()
    # Thousands of schedules would tell of thousands of faults.
    logging.disable(logging.CRITICAL)
    if options.mutants:
        return _hunt(options.seed, options.schedules, is_kept=options.write)
    started = time.process_time()
    broken, coverage = simulate(options.seed, options.schedules)
    seconds = round(time.process_time() - started)
    sys.stdout.write("\n".join(coverage.lines()) + "\n")
    sys.stdout.write(
        f"{options.schedules} schedules from seed {options.seed}, {len(broken)} with a broken promise, "
        f"{seconds} s of CPU\n"
    )
    if options.write:
        found = {"seed": options.seed, "schedules": options.schedules, "broken": len(broken)}
        write("simulation", found | {"cpu_seconds": seconds, "reached": coverage.lines()})
    return bool(broken)


def _hunt(first: int, number: int, *, is_kept: bool) -> int:
    caught: dict[str, int | None] = {}
    started = time.process_time()
    for mutant in MUTANTS:
        begun = time.process_time()
        seed = caught[mutant.name] = seed_that_catches(mutant, first, number)
        found = "NOT caught" if seed is None else f"caught by seed {seed}"
        sys.stdout.write(f"{mutant.name}: {found}, {time.process_time() - begun:.1f} s of CPU\n")
        sys.stdout.flush()
    num_caught = sum(seed is not None for seed in caught.values())
    sys.stdout.write(f"{num_caught} of {len(MUTANTS)}\n")
    if is_kept:
        write("mutants", {"cpu_seconds": round(time.process_time() - started), "caught": caught, "not_tried": []})
    return int(num_caught != len(MUTANTS))


if __name__ == "__main__":
    sys.exit(main())
