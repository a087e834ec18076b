"""How long things look as they do: by one's own clock, and only while one looks."""

from orchestrator.sightings import LONGEST_STEP_SECONDS, Sightings
from tests.orchestrator.hand_clock import Clock


def look(sightings: Sightings, clock: Clock, seconds: float, *subjects: str) -> None:
    clock.seconds += seconds
    sightings.begin_look(subjects or ("a", "b"))


def test_time_counts_from_the_last_change(clock: Clock) -> None:
    sightings = Sightings(clock)
    assert sightings.seconds("a", "heartbeat", 1) == 0.0
    look(sightings, clock, 5.0)
    assert sightings.seconds("a", "heartbeat", 1) == 5.0
    assert sightings.seconds("b", "heartbeat", 1) == 0.0
    look(sightings, clock, 5.0)
    # Backwards or forwards: another one is a change.
    assert sightings.seconds("a", "heartbeat", -7) == 0.0
    assert sightings.seconds("b", "heartbeat", 1) == 5.0


def test_a_gap_hardly_counts(clock: Clock) -> None:
    sightings = Sightings(clock)
    sightings.seconds("a", "heartbeat", 1)
    look(sightings, clock, 36_000.0)
    assert sightings.seconds("a", "heartbeat", 1) == LONGEST_STEP_SECONDS


def test_what_is_gone_is_forgotten(clock: Clock) -> None:
    sightings = Sightings(clock)
    sightings.seconds("a", "heartbeat", 1)
    look(sightings, clock, 5.0, "b")
    look(sightings, clock, 5.0, "a")
    assert sightings.seconds("a", "heartbeat", 1) == 0.0
