"""What simulated processes find in place of `threading`, `time`, `signal` and a pool of threads."""

import signal as real_signal
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from types import TracebackType
from typing import Any, Self

from tests.simulation.scheduler import Killed, Scheduler, Task

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Event:
    """`threading.Event`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler, self._is_set = scheduler, False
        self._waiting: list[Task] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for task in self._waiting:
            self._scheduler.wake(task)
        self._waiting = []

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set and self._scheduler.current is not None:
            self._waiting.append(self._scheduler.current)
            self._scheduler.sleep(1e9 if timeout is None else timeout)
        return self._is_set


class Lock:
    """`threading.Lock`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._owner: Task | None = None

    def __enter__(self) -> Self:
        while self._owner is not None and not self._owner.is_over:
            self._scheduler.sleep(0.01)
        self._owner = self._scheduler.current
        return self

    def __exit__(self, *_: object) -> None:
        self._owner = None


class Thread:
    """`threading.Thread`."""

    def __init__(
        self,
        scheduler: Scheduler,
        target: Callable[..., object],
        args: tuple[Any, ...] = (),
        name: str = "",
        daemon: bool = False,
    ) -> None:
        self._scheduler, self._name = scheduler, name
        self._run = partial(target, *args)
        self._task: Task | None = None

    def start(self) -> None:
        self._task = self._scheduler.spawn(self._scheduler.process, self._name, self._run)

    def join(self) -> None:
        if not self._scheduler.process.is_alive:
            raise Killed
        while self._task is not None and not self._task.is_over:
            self._scheduler.sleep(0.05)


class Threading:
    """`threading`, as far as the service and a driver use it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.Event, self.Lock = partial(Event, scheduler), partial(Lock, scheduler)
        self.Thread = partial(Thread, scheduler)

    def current_thread(self) -> Task | None:
        return self._scheduler.current

    def main_thread(self) -> Task | None:
        return self._scheduler.process.main


class Time:
    """`time`: monotonic seconds are everybody's, wall clocks are each host's own."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def monotonic(self) -> float:
        return self._scheduler.now

    def monotonic_ns(self) -> int:
        return int(self._scheduler.now * 1e9)

    def time(self) -> float:
        skew = self._scheduler.current.process.clock_skew if self._scheduler.current else 0.0
        return _EPOCH.timestamp() + self._scheduler.now + skew

    def time_ns(self) -> int:
        return int(self.time() * 1e9)

    def sleep(self, seconds: float) -> None:
        self._scheduler.sleep(seconds)


class WallClock:
    """`datetime`, for `now` alone."""

    def __init__(self, time: Time) -> None:
        self._time = time

    def now(self, zone: tzinfo) -> datetime:
        return datetime.fromtimestamp(self._time.time(), zone)


def wall(seconds: float) -> datetime:
    """Virtual seconds as a date."""
    return _EPOCH + timedelta(seconds=seconds)


class Signals:
    """`signal`: a handler is the process's own."""

    SIGTERM, SIGINT = real_signal.SIGTERM, real_signal.SIGINT

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def signal(self, number: int, handler: Any) -> Any:
        handlers = self._scheduler.process.handlers
        before = handlers.pop(number, None)
        if handler is not None:
            handlers[number] = handler
        return before


class OneAfterAnother:
    """`ThreadPoolExecutor`, as far as `map` goes."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return iter([function(item) for item in items])
