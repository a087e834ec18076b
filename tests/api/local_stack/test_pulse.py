"""A server that runs and does not answer is replaced; one that is only slow is not."""

from api.local_stack.pulse import LOOK_SECONDS, SILENT_LOOKS, Pulse
from tests.orchestrator.hand_clock import Clock


def looks(pulse: Pulse, clock: Clock, number: int, *, answers: bool) -> list[str]:
    told = []
    for _ in range(number):
        clock.seconds += LOOK_SECONDS
        told.append(pulse.look(lambda: answers))
    return told


def test_it_is_asked_now_and_then() -> None:
    clock, asked = Clock(), []
    pulse = Pulse(0.0, clock)
    for _ in range(30):
        clock.seconds += 1.0
        pulse.look(lambda: asked.append(clock.seconds) is None)
    assert len(asked) == 2


def test_a_long_silence_ends_it() -> None:
    clock = Clock()
    pulse = Pulse(0.0, clock)
    assert not any(looks(pulse, clock, SILENT_LOOKS - 1, answers=False))
    assert not any(looks(pulse, clock, 1, answers=True))
    assert looks(pulse, clock, SILENT_LOOKS, answers=False)[-2:] == ["", "has not answered for 300 s"]


def test_a_start_may_take_its_time_and_a_machine_that_slept_counts_once() -> None:
    clock = Clock()
    pulse = Pulse(180.0, clock)
    assert not any(looks(pulse, clock, SILENT_LOOKS + 11, answers=False))
    clock.seconds += 100_000
    assert looks(pulse, clock, 1, answers=False) != [""]
    pulse = Pulse(0.0, clock)
    clock.seconds += 100_000
    assert looks(pulse, clock, 1, answers=False) == [""]
