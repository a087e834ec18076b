"""`docs/guarantees.md`: what is promised, unless what, and which test would fail; its figures are those of the last
`make simulate WRITE=1` and `make mutants WRITE=1`."""

import json
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
FIGURES = Path(__file__).with_name("figures.json")
_SIMULATION = "tests/simulation/test_simulation.py::test_a_schedule_of_faults_breaks_no_promise"


class Promise(NamedTuple):
    text: str
    unless: str
    """Empty: it holds always."""
    tests: tuple[str, ...]
    """Those that fail without it, beside the simulation."""
    is_simulated: bool = True


PROMISES = (
    Promise(
        "A finished trial is never lost, and its result never overwritten.",
        "the database's disk loses what it has synced",
        (
            "tests/orchestrator/store/test_trials.py::test_a_result_is_never_overwritten",
            "tests/faults/test_driver_killed.py::test_a_killed_driver_is_replaced_and_finished_trials_are_not_trained_again",
            "tests/faults/test_store_killed.py::test_a_killed_writer_leaves_whole_transactions_and_no_lock",
        ),
    ),
    Promise(
        "Every value of every epoch is in the store once.",
        "it was older than `SIGMALAB_RETENTION_DAYS` (its result keeps it)",
        ("tests/orchestrator/store/test_telemetry.py::test_an_epoch_is_recorded_once_and_the_first_value_stays",),
    ),
    Promise(
        "Every value is in each tracker once, with its original time, however long the tracker was away.",
        "the tracker itself loses it",
        (
            "tests/faults/test_mlflow_away.py::test_nothing_is_lost_or_doubled_when_mlflow_is_killed",
            "tests/orchestrator/tracking/test_tensorboard.py::test_a_shipper_that_dies_before_its_note_doubles_nothing",
        ),
    ),
    Promise(
        "A driver that was replaced changes nothing any more, whenever it wakes up.",
        "it writes checkpoints of its own trials until it notices; they hold the same numbers",
        (
            "tests/orchestrator/store/test_experiments.py::test_a_replaced_attempt_may_write_nothing",
            "tests/orchestrator/store/test_trials.py::test_a_replaced_driver_changes_no_trial",
        ),
    ),
    Promise(
        "A driver begins only when the one before it is known to be dead.",
        "Ray has lost its job, or has another head; what is left of it then is fenced",
        (
            "tests/orchestrator/store/test_experiments.py::test_an_attempt_begins_only_when_the_one_before_has_ended",
            "tests/orchestrator/service/test_reconciler.py::test_a_job_that_says_running_of_a_silent_driver_is_stopped_first",
        ),
    ),
    Promise(
        "A driver that is well is neither stopped nor replaced: not when clocks jump, a laptop sleeps or Ray is away.",
        "the database fails it for longer than `SIGMALAB_HEARTBEAT_TIMEOUT_SECONDS`",
        (
            "tests/orchestrator/service/test_reconciler.py::test_a_wall_clock_that_jumps_kills_nobody",
            "tests/orchestrator/service/test_reconciler.py::test_a_service_that_stood_still_only_looks_at_first",
        ),
    ),
    Promise(
        "One training that several experiments ask for is done once, by one driver at a time.",
        "`reuse: never`; or its driver stood still for so long that it was taken for dead",
        (
            "tests/orchestrator/driving/test_claiming.py::test_the_second_waits_and_takes_the_result_over",
            "tests/orchestrator/store/test_claims.py::test_of_many_only_one_wins",
        ),
    ),
    Promise(
        "An experiment is given up only after drivers crashed, or fell silent, one after another without any progress: "
        "restarts, preemptions, lost heads and slow starts do not count.",
        "",
        (
            "tests/orchestrator/service/test_reconciler.py::test_five_polite_ends_are_no_reason_to_give_up",
            "tests/orchestrator/service/test_reconciler.py::test_crashes_with_progress_in_between_are_no_reason_to_give_up",
        ),
    ),
    Promise(
        "What failed or was cancelled goes on by `sigmalab resume`, from what is there.",
        "code or data have changed since",
        (
            "tests/orchestrator/store/test_experiments.py::test_a_second_round_forgets_the_first_ones_cancel_and_attempts",
        ),
    ),
    Promise(
        "A trial that was interrupted, anywhere and as often as you like, ends with the same bits.",
        "on GPUs without `optimization.deterministic`: up to rounding",
        (
            "tests/trainers/test_saving.py::test_interrupted_anywhere_it_gives_the_same_bits",
            "tests/trainers/test_killed.py::test_killed_again_and_again_it_gives_the_same_bits",
        ),
        is_simulated=False,
    ),
    Promise(
        "A node that can't read its data or find its device costs no trial, where another node can.",
        "trials of several workers: Ray Train places these",
        ("tests/faults/test_sick_node.py::test_trials_of_a_node_without_a_mount_are_trained_elsewhere",),
    ),
    Promise(
        "A storage that is full, read-only or away costs no trial: it waits, and goes on.",
        "it saves nothing in ten rounds, each begun on a good probe",
        ("tests/orchestrator/driving/test_storage.py::test_a_full_disk_costs_no_trial_a_life",),
    ),
    Promise(
        "What a killed driver leaves on disks is gone two hours later.",
        "another service's experiments use the same folders: theirs stay",
        ("tests/orchestrator/service/test_janitor.py::test_leftovers_of_dead_drivers_go_of_this_database_alone",),
    ),
)


def page() -> str:
    """The page as it should be."""
    figures = json.loads(FIGURES.read_text())
    lines = [
        "# What is promised",
        "",
        "Each promise with what it holds unless, and the tests that fail without it. `make simulate WRITE=1` and",
        "`make mutants WRITE=1` write this page; a test compares it with what they have found.",
        "",
    ]
    for number, promise in enumerate(PROMISES, start=1):
        tests = [*promise.tests, *([_SIMULATION] if promise.is_simulated else [])]
        holds = f"Holds unless: {promise.unless}." if promise.unless else "Holds always."
        lines += [f"{number}. **{promise.text}** {holds}"]
        lines += [f"   `{test}`" + (";" if test != tests[-1] else "") for test in tests] + [""]
    lines += ["## Last run of the simulation", "", *_simulation(figures["simulation"]), ""]
    lines += ["## Last run of the mutants", "", *_mutants(figures["mutants"])]
    return "\n".join(lines) + "\n"


def write(name: str, found: dict[str, Any]) -> None:
    """Keep the figures of a run, and put them on the page."""
    figures = json.loads(FIGURES.read_text())
    FIGURES.write_text(json.dumps(figures | {name: found}, indent=1) + "\n")
    PAGE.write_text(page())


def _simulation(run: dict[str, Any]) -> list[str]:
    told = f"{run['schedules']} schedules from seed {run['seed']}, {run['broken']} with a broken promise, "
    return [
        f"{told}{run['cpu_seconds']} s of CPU.",
        "The real reconciler, drivers, store (SQLite) and shippers ran on a virtual clock;",
        "Ray, Tune, the tracker, the trials and their disk were played.",
        "",
        # What was not reached is printed by the run, place by place.
        *(f"* {line}" for line in run["reached"] if not line.startswith("  ")),
    ]


def _mutants(run: dict[str, Any]) -> list[str]:
    found: dict[str, int | None] = run["caught"]
    caught = sum(seed is not None for seed in found.values())
    number = len(found) + len(run["not_tried"])
    told = (
        f"Of {number} precautions that were taken out one by one, the lack of {caught} was noticed, "
        f"in {run['cpu_seconds']} s of CPU"
    )
    rows = [f"| {name} | {'not noticed' if seed is None else seed} |" for name, seed in found.items()]
    if run["not_tried"]:
        told += f"; {len(run['not_tried'])} had no answer in that run ({'; '.join(run['not_tried'])})"
    return [f"{told}.", "", "| taken out | noticed by the schedule of seed |", "|---|---|", *rows]
