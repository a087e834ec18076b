"""Virtual time: real code runs as tasks of simulated processes, one at a time, in an order that a seed decides.

A task is a greenlet: it runs until it sleeps or touches the world (a database, Ray, a tracker, a disk), and may be
killed, or stand still, at any such moment and at no other. What it finds in `threading`, `time` and `signal` are the
classes of `threads.py`.
"""

import heapq
import itertools
import random
from collections.abc import Callable

import greenlet


class Killed(BaseException):
    """The process is dead: nothing of it runs any more, and nothing that still unwinds has an effect."""


class EndlessError(AssertionError):
    """The world did not come to rest."""


class Process:
    """A process of one host: its tasks live and die together."""

    def __init__(self, kind: str, name: str, clock_skew: float = 0.0) -> None:
        self.kind, self.name, self.clock_skew = kind, name, clock_skew
        self.is_alive = True
        self.stopped_until = 0.0
        """Until when it stands still (SIGSTOP)."""
        self.stood_still = False
        """Whether it ever did."""
        self.handlers: dict[int, Callable[[int, object], None]] = {}
        self.signals: list[int] = []
        self.main: Task | None = None
        self.exit_code: int | None = None
        self.on_exit: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return self.name


class Task:
    """One thread of a process."""

    def __init__(self, process: Process, name: str, run: Callable[[], object], hub: greenlet.greenlet) -> None:
        self.process, self.name = process, name
        self.greenlet = greenlet.greenlet(run, hub)
        self.is_over = False
        self.error: BaseException | None = None
        self.ticket = 0
        """Of its newest place in the queue: earlier ones are void."""


class Scheduler:
    """Life: `spawn` tasks, then `run`; inside of a task `sleep` and `wake`."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 1000.0
        self.num_steps = 0
        self.asleep_until = 0.0
        """Until when nothing moves on these machines."""
        self.processes: list[Process] = []
        self._hub = greenlet.getcurrent()
        self._queue: list[tuple[float, float, int, Task]] = []
        self._count = itertools.count(1)
        self.current: Task | None = None
        self.errors: list[tuple[Task, BaseException]] = []
        """What tasks of service and scene ended with."""

    @property
    def process(self) -> Process:
        assert self.current is not None, "only a task does that"
        return self.current.process

    def spawn(self, process: Process, name: str, run: Callable[[], object], delay: float = 0.0) -> Task:
        def body() -> None:
            try:
                run()
            except Killed:
                pass
            except BaseException as error:  # noqa: BLE001 (the top of a task)
                task.error = error
                self.errors.append((task, error))
            finally:
                task.is_over = True

        task = Task(process, name, body, self._hub)
        if process.main is None:
            process.main = task
            if process.kind != "scene":
                process.stopped_until = self.asleep_until
            self.processes.append(process)
        self._put(task, delay)
        return task

    def sleep(self, seconds: float) -> None:
        """Let others run for so long."""
        task = self.current
        assert task is not None, "only a task sleeps"
        if not task.process.is_alive:
            raise Killed
        self._put(task, seconds)
        self._hub.switch()
        if not task.process.is_alive:
            raise Killed
        if task is task.process.main:
            self._take_signals(task.process)

    def wake(self, task: Task) -> None:
        """It need not wait any longer."""
        if not task.is_over:
            self._put(task, 0.0)

    def kill(self, process: Process, exit_code: int = -9) -> None:
        """At once: its tasks unwind without any effect."""
        if not process.is_alive:
            return
        process.is_alive, process.exit_code = False, exit_code
        for _, _, ticket, task in list(self._queue):
            if task.process is process and ticket == task.ticket:
                self._put(task, 0.0)
        for told in process.on_exit:
            told()

    def send(self, process: Process, signal_number: int) -> None:
        """As `kill -<number>`: it runs its handler, or dies."""
        if not process.is_alive:
            return
        if signal_number in process.handlers or (process.kind == "driver" and process.stopped_until > self.now):
            process.signals.append(signal_number)
        else:
            self.kill(process, -signal_number)

    def stop(self, process: Process, seconds: float) -> None:
        """It stands still for so long."""
        if process.is_alive:
            process.stood_still = True
            process.stopped_until = max(process.stopped_until, self.now + seconds)

    def run(self, until: Callable[[], bool], max_seconds: float, max_steps: int = 200_000) -> None:
        """Until something holds.

        Raises:
            EndlessError: it never did.
        """
        end, steps = self.now + max_seconds, self.num_steps + max_steps
        while self.num_steps % 16 or not until():
            if not self._queue or self.now > end or self.num_steps > steps:
                raise EndlessError(f"after {self.now:.0f} s and {self.num_steps} steps nothing has come of it")
            at, _, ticket, task = heapq.heappop(self._queue)
            if ticket != task.ticket or task.is_over:
                continue
            process = task.process
            if process.is_alive and process.stopped_until > max(at, self.now):
                self._put(task, process.stopped_until - self.now)
                continue
            self.now = max(self.now, at)
            self.num_steps += 1
            self.current = task
            try:
                if process.is_alive:
                    task.greenlet.switch()
                else:
                    _unwind(task)
            finally:
                self.current = None
            if task.error is not None and process.kind == "scene":
                raise task.error
            if task.is_over and task is process.main and process.is_alive and process.kind != "scene":
                self._exit(process, task)

    def close(self) -> None:
        """Unwind whatever is left."""
        for process in self.processes:
            process.is_alive = False
        for *_, task in self._queue:
            self.current = task
            if not task.is_over:
                _unwind(task)
        self.current = None

    def _exit(self, process: Process, main: Task) -> None:
        code = 0 if main.error is None else 1
        # Daemon threads end with the main one.
        exit_code = process.exit_code
        self.kill(process, code if exit_code is None else exit_code)

    def _take_signals(self, process: Process) -> None:
        while process.signals:
            number = process.signals.pop(0)
            handler = process.handlers.get(number)
            if handler is None:
                self.kill(process, -number)
                raise Killed
            handler(number, None)

    def _put(self, task: Task, delay: float) -> None:
        task.ticket = next(self._count)
        heapq.heappush(self._queue, (self.now + max(0.0, delay), self.random.random(), task.ticket, task))


def _unwind(task: Task) -> None:
    if task.greenlet:
        task.greenlet.throw(Killed)
    # Else it has not begun, and would raise here.
    task.is_over = True
