"""Reports are built in processes of their own, and kept until something happens to their experiment.

Statistics and figures of a large table take minutes of Python, which would keep every other request waiting for the
interpreter's lock.
"""

import asyncio
import hashlib
import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from http import HTTPStatus
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar

from fastapi.concurrency import run_in_threadpool

from api.errors import RequestError
from api.orphaned import end_with_parent
from orchestrator.errors import OrchestratorError
from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings
from orchestrator.store.database import open_as_it_is

KEPT_BYTES = 64 * 2**20
"""Of all answers that are kept."""
FAILED_SECONDS = 60.0
"""How long a page that did not wait for a failure is told of it, before the same is tried once more."""

_log = logging.getLogger(__name__)

P = ParamSpec("P")
ResultT = TypeVar("ResultT")
Work = Callable[Concatenate[Experiments, str, P], ResultT]
"""A function of a module, which another process finds by its name; gets the use cases and an experiment's id."""


_Version = tuple[object, ...]
_Question = tuple[object, ...]
"""Which work, of which experiment, with which arguments."""


class Glimpse(NamedTuple, Generic[ResultT]):
    """What is known without a wait."""

    answer: ResultT
    version: str
    """Changes with the answer; fit for an address."""
    is_newest: bool
    """Whether no trial has ended since."""


class _Build(NamedTuple):
    """One that is under way."""

    number: int
    """Of all that were begun here."""
    version: _Version
    """Of the experiment when it was begun."""
    answer: asyncio.Future[bytes]


class _Kept(NamedTuple):
    version: _Version
    answer: bytes


class _Failed(NamedTuple):
    version: _Version
    at: float
    """By the monotonic clock, in seconds."""
    error: BaseException


class ReportDesk:
    """Life: made with the application -> `ask` from any number of requests -> `close`.

    Of one question no more than one build is under way, however fast the experiment goes on: who asks for a newer
    answer waits until that one has ended.
    """

    def __init__(self, settings: Settings, experiments: Experiments, *, most_processes: int | None = None) -> None:
        """No process is started yet.

        Args:
            settings: how many processes (0: threads of this one), and which database they read.
            experiments: the use cases in this process.
            most_processes: of this desk (`None`: as many as the settings say).
        """
        self._settings, self._experiments = settings, experiments
        allowed = settings.report_processes
        self._num_processes = allowed if most_processes is None else min(allowed, most_processes)
        self._pool: ProcessPoolExecutor | None = None
        self._guard = threading.Lock()
        self._kept: OrderedDict[_Question, _Kept] = OrderedDict()
        self._failed: dict[_Question, _Failed] = {}
        self._under_way: dict[_Question, _Build] = {}
        self._num_begun = 0

    async def ask(self, work: "Work[P, ResultT]", experiment_id: str, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """What the work gives, unless it is known for the experiment as it stands.

        Raises:
            ExperimentNotFoundError: there is none.
            RequestError: 500, the work failed; 503, the process was lost.
        """
        version = await run_in_threadpool(self._experiments.version_of, experiment_id)
        return await self._answer(version, work, experiment_id, args, kwargs)

    async def ask_of_pairs(
        self, work: "Work[P, ResultT]", experiment_id: str, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT:
        """As `ask`, for what only trials that end can change."""
        version = await run_in_threadpool(self._experiments.pairs_version_of, experiment_id)
        return await self._answer(version, work, experiment_id, args, kwargs)

    async def once(self, work: "Work[P, ResultT]", experiment_id: str, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """What the work gives, which is not kept: many small answers would drive the reports out.

        Raises:
            ExperimentNotFoundError: there is none.
            RequestError: as `ask`.
        """
        built: ResultT = _read(await self._build(work, experiment_id, args, kwargs))
        return built

    async def glimpse(
        self, seconds: float, work: "Work[P, ResultT]", experiment_id: str, *args: P.args, **kwargs: P.kwargs
    ) -> Glimpse[ResultT] | None:
        """As `ask_of_pairs`, but after so many seconds the last answer that is known (`None`: there is none).

        The newest goes on being built then, and is known to whoever asks later.

        Raises:
            ExperimentNotFoundError: there is none.
            RequestError: as `ask`; also where this very answer failed less than a minute ago.
        """
        version = await run_in_threadpool(self._experiments.pairs_version_of, experiment_id)
        question = _question(work, experiment_id, args, kwargs)
        num_begun, deadline = self._num_begun, time.monotonic() + seconds
        while (kept := self._known(question, version)) is None:
            self._tell_failure(question, version)
            build = self._begun(question, version, work, experiment_id, args, kwargs)
            done, _ = await asyncio.wait([build.answer], timeout=max(0.0, deadline - time.monotonic()))
            if not done:
                old = self._kept.get(question)
                return None if old is None else Glimpse(_read(old.answer), _short(old.version), is_newest=False)
            if build.version == version or build.number > num_begun:
                kept = _Kept(build.version, build.answer.result())
                break
        return Glimpse(_read(kept.answer), _short(kept.version), is_newest=True)

    async def _answer(
        self,
        version: _Version,
        work: Callable[..., ResultT],
        experiment_id: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> ResultT:
        question, num_begun = _question(work, experiment_id, args, kwargs), self._num_begun
        while (kept := self._known(question, version)) is None:
            # Whoever asks for the same meanwhile waits for the same; and it is done though this client may leave.
            build = self._begun(question, version, work, experiment_id, args, kwargs)
            await asyncio.wait([build.answer])
            # One that was begun after this was asked is as new as was asked for.
            if build.version == version or build.number > num_begun:
                built: ResultT = _read(build.answer.result())
                return built
        known: ResultT = _read(kept.answer)
        return known

    def _known(self, question: _Question, version: _Version) -> _Kept | None:
        kept = self._kept.get(question)
        if kept is None or kept.version != version:
            return None
        self._kept.move_to_end(question)
        return kept

    def _tell_failure(self, question: _Question, version: _Version) -> None:
        failed = self._failed.get(question)
        if failed and failed.version == version and time.monotonic() - failed.at < FAILED_SECONDS:
            raise failed.error.with_traceback(None)

    def _begun(
        self,
        question: _Question,
        version: _Version,
        work: Callable[..., object],
        experiment_id: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> _Build:
        """The build that is under way, of whatever version; else a new one."""
        if question not in self._under_way:
            self._num_begun += 1
            answer = asyncio.ensure_future(self._build(work, experiment_id, args, kwargs))
            self._under_way[question] = _Build(self._num_begun, version, answer)
            answer.add_done_callback(lambda _: self._keep(question))
        return self._under_way[question]

    def close(self) -> None:
        """End the processes; what they work at is lost."""
        with self._guard:
            if self._pool is not None:
                for process in list((self._pool._processes or {}).values()):  # noqa: SLF001 (3.14 has kill_workers)
                    process.terminate()
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None

    async def _build(
        self, work: Callable[..., object], experiment_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bytes:
        try:
            if self._num_processes == 0:
                return await run_in_threadpool(
                    lambda: pickle.dumps(work(self._experiments, experiment_id, *args, **kwargs))
                )
            return await self._build_elsewhere(work, experiment_id, args, kwargs)
        except (RequestError, OrchestratorError):
            raise
        except Exception as error:  # noqa: BLE001 (logged, and told)
            # What the work stumbles over is one experiment's: whoever shows several goes on with the others.
            _log.exception("%s of experiment %s failed", work.__qualname__, experiment_id)
            detail = f"this could not be made ({type(error).__name__}); the service's log says more"
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "report_failed", detail) from None

    async def _build_elsewhere(
        self, work: Callable[..., object], experiment_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bytes:
        pool = self._started_pool()
        try:
            return await asyncio.wrap_future(pool.submit(_built, work, experiment_id, args, kwargs))
        except BrokenProcessPool:
            with self._guard:
                if self._pool is pool:
                    self._pool = None
            _log.exception("a process that builds reports was lost")
            raise RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "report_lost",
                "the process that built this was lost (out of memory, perhaps; its log says more): ask again",
            ) from None

    def _keep(self, question: _Question) -> None:
        build = self._under_way.pop(question)
        if build.answer.cancelled():
            return
        now = time.monotonic()
        self._failed = {key: each for key, each in self._failed.items() if now - each.at < FAILED_SECONDS}
        if error := build.answer.exception():
            self._failed[question] = _Failed(build.version, now, error)
            return
        self._failed.pop(question, None)
        answer = build.answer.result()
        if len(answer) > KEPT_BYTES:
            return
        self._kept[question] = _Kept(build.version, answer)
        self._kept.move_to_end(question)
        while sum(len(each.answer) for each in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)

    def _started_pool(self) -> ProcessPoolExecutor:
        with self._guard:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    self._num_processes,
                    # A fork would copy threads in mid-step, and the listening socket.
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_begin,
                    initargs=(self._settings,),
                )
            return self._pool


def _question(
    work: Callable[..., object], experiment_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> _Question:
    return (work.__module__, work.__qualname__, experiment_id, args, tuple(sorted(kwargs.items())))


def _short(version: _Version) -> str:
    return hashlib.sha256(repr(version).encode()).hexdigest()[:12]


def _read(answer: bytes) -> Any:  # noqa: ANN401 (whatever the work gave)
    return pickle.loads(answer)  # noqa: S301 (our own process's)


# ---- in the other process ----

_experiments: Experiments | None = None


def _begin(settings: Settings) -> None:
    global _experiments  # noqa: PLW0603 (one for each process)
    # Ctrl-C goes to the whole group; who ends these processes is their parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    os.umask(settings.umask)
    _experiments = Experiments(open_as_it_is(settings.effective_database_url), settings)


def _built(work: Callable[..., object], experiment_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    assert _experiments is not None
    return pickle.dumps(work(_experiments, experiment_id, *args, **kwargs))
