"""Records that are only appended, each event once, whatever a process that was killed has left."""

import threading
from contextlib import suppress
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb

from orchestrator.tracking.tensorboard.event_file import DamagedError, EventFile
from tests.orchestrator.tracking.event_reading import hparams, opened, scalars, texts

EVENTS = "events.out.tfevents.sigmalab"


def events(first: int, last: int) -> list[Event]:
    return [
        Event(
            wall_time=1000.25 + step,
            step=step,
            summary=Summary(value=[Summary.Value(tag="val/top1", simple_value=step / 4)]),
        )
        for step in range(first, last)
    ]


def told(first: int, last: int) -> list[tuple[str, int, float, float]]:
    return [("val/top1", step, 1000.25 + step, step / 4) for step in range(first, last)]


def test_an_event_is_held_once(tmp_path: Path) -> None:
    one, other = (EventFile(tmp_path / EVENTS) for _ in range(2))
    one.append(events(0, 3))
    other.append(events(2, 5))
    one.append(events(0, 6))
    one.append([])
    assert scalars(tmp_path) == told(0, 6)


def test_nothing_makes_no_file_s_content(tmp_path: Path) -> None:
    EventFile(tmp_path / EVENTS).append([])
    assert (tmp_path / EVENTS).read_bytes() == b""
    EventFile(tmp_path / EVENTS).append(events(0, 1))
    assert scalars(tmp_path) == told(0, 1)


@pytest.mark.parametrize("num_lost", [1, 4, 5, 13, 17, 30, 70, 10_000])
def test_half_a_record_is_cut_off_and_written_again(tmp_path: Path, num_lost: int) -> None:
    file = tmp_path / EVENTS
    EventFile(file).append(events(0, 5))
    whole = file.read_bytes()
    file.write_bytes(whole[: max(0, len(whole) - num_lost)])
    EventFile(file).append(events(0, 5))
    assert file.read_bytes() == whole


def test_nothing_of_half_a_record_stays_behind_what_is_written_next(tmp_path: Path) -> None:
    file = tmp_path / EVENTS
    EventFile(file).append(events(0, 2))
    whole = file.read_bytes()
    long = Event(wall_time=1.0, step=9, summary=Summary(value=[Summary.Value(tag="x" * 500, simple_value=1.0)]))
    EventFile(file).append([long])
    file.write_bytes(file.read_bytes()[:-1])
    EventFile(file).append(events(1, 3))
    assert scalars(tmp_path) == told(0, 3)
    assert len(file.read_bytes()) < len(whole) + 500


@pytest.mark.parametrize("place", [0, 9, 20, 60, 100, 150, -1])
def test_a_damaged_record_costs_no_other_one_and_is_told(tmp_path: Path, place: int) -> None:
    file = tmp_path / EVENTS
    EventFile(file).append(events(0, 5))
    damaged = bytearray(file.read_bytes())
    damaged[place] ^= 0xFF
    file.write_bytes(damaged)
    one, other = EventFile(file), EventFile(file)
    with pytest.raises(DamagedError, match=rf"records of .*{EVENTS} were damaged"):
        one.append(events(5, 6))
    kept = scalars(tmp_path)
    assert len(kept) >= 4
    assert set(kept) <= set(told(0, 5))
    # All is sent again: whoever does so, the rest is there once.
    other.append(events(0, 3))
    one.append(events(0, 6))
    assert sorted(scalars(tmp_path)) == told(0, 6)
    assert [path.name for path in tmp_path.iterdir()] == [EVENTS]


def test_damage_behind_what_is_known_is_found(tmp_path: Path) -> None:
    file = tmp_path / EVENTS
    kept = EventFile(file)
    kept.append(events(0, 2))
    known = len(file.read_bytes())
    EventFile(file).append(events(2, 5))
    damaged = bytearray(file.read_bytes())
    damaged[known + 20] ^= 0xFF
    file.write_bytes(damaged)
    with pytest.raises(DamagedError):
        kept.append(events(5, 6))
    assert scalars(tmp_path) == [*told(0, 2), *told(3, 5)]
    kept.append(events(0, 6))
    assert sorted(scalars(tmp_path)) == told(0, 6)


def test_who_waits_for_a_file_that_is_put_in_order_writes_into_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / EVENTS
    EventFile(file).append(events(0, 5))
    damaged = bytearray(file.read_bytes())
    damaged[60] ^= 0xFF
    file.write_bytes(damaged)

    def write() -> None:
        mine = EventFile(file)
        for _ in range(2):
            with suppress(DamagedError):
                mine.append(events(0, 8))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(scalars(tmp_path)) == told(0, 8)


def words(text: str) -> Event:
    return Event(wall_time=7.5, step=0, summary=text_pb("description", text))


def test_another_text_of_the_same_time_is_added_and_the_newest_once(tmp_path: Path) -> None:
    one, other = (EventFile(tmp_path / EVENTS) for _ in range(2))
    one.append([words("it runs")])
    other.append([words("it runs")])
    other.append([words("it has ended")])
    one.append([words("it has ended")])
    assert texts(tmp_path)["description"] == ["it runs", "it has ended"]
    one.append([words("it runs")])
    assert texts(tmp_path)["description"][-1] == "it runs"


def test_a_file_that_is_exchanged_under_it_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / EVENTS
    kept = EventFile(file)
    kept.append(events(0, 5))
    file.unlink()
    EventFile(file).append(events(0, 2))
    kept.append(events(0, 5))
    assert scalars(tmp_path) == told(0, 5)


def test_it_grows_under_the_eyes_of_who_reads_it(tmp_path: Path) -> None:
    file = EventFile(tmp_path / EVENTS)
    file.append(events(0, 3))
    watching = opened(tmp_path)
    file.append(events(2, 6))
    watching.Reload()
    assert [each.step for each in watching.Scalars("val/top1")] == [0, 1, 2, 3, 4, 5]


def test_many_writers_at_once_double_nothing(tmp_path: Path) -> None:
    def write() -> None:
        file = EventFile(tmp_path / EVENTS)
        for first in range(0, 40, 2):
            file.append(events(first, first + 4))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(scalars(tmp_path)) == told(0, 42)


def test_hparams_are_those_that_were_told_first(tmp_path: Path) -> None:
    for lr in (0.5, 0.25):
        told_params = hparams_pb({"lr": lr}, trial_id="x", start_time_secs=7.5)
        EventFile(tmp_path / EVENTS).append([Event(wall_time=7.5, step=0, summary=told_params)])
    assert len(opened(tmp_path).Tensors("_hparams_/session_start_info")) == 1
    assert hparams(tmp_path) == {"lr": 0.5}
