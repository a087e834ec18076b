"""The driver's second thread: says that it lives, and hears when it should end."""

import logging
import threading
import time
from enum import StrEnum
from types import TracebackType
from typing import Self

from orchestrator.errors import StaleAttemptError, StoreError
from orchestrator.store.database import Database
from orchestrator.store.experiments import heartbeat, is_cancel_requested

_LOOK_SECONDS = 0.5

_log = logging.getLogger(__name__)


class StopReason(StrEnum):
    """Why a driver ends before its work is done."""

    CANCELLED = "cancelled"
    """A user asked for the end of the experiment."""
    STALE = "stale"
    """Another attempt has taken over, or this one was taken for dead: nothing may be written any more."""
    FAILING = "failing"
    """Its trials fail one after another with the same error: so would the others."""
    UNEQUAL = "unequal"
    """The arms of a cell start otherwise than what they change explains: no pair of them would mean anything."""
    TERMINATED = "terminated"
    """The process was told to end; another attempt goes on later."""


class Watch:
    """Life: `with Watch(...) as watch:`; `watch.reason` is set as soon as the driver has to stop."""

    def __init__(self, database: Database, experiment_id: str, attempt: int, *, heartbeat_seconds: float) -> None:
        self._database, self._experiment_id, self._attempt = database, experiment_id, attempt
        self._heartbeat_seconds = heartbeat_seconds
        self._reason: StopReason | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Say that the driver lives, and go on saying so.

        Raises:
            StaleAttemptError: it has been replaced already.
        """
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def reason(self) -> StopReason | None:
        """Why to stop (`None`: go on)."""
        return self._reason

    def stop(self, reason: StopReason) -> None:
        """Ask the driver to stop; the first reason stays, but for `STALE`, which forbids all that others allow."""
        if self._reason is None or reason is StopReason.STALE:
            self._reason = reason

    def _run(self) -> None:
        beaten_at = time.monotonic()
        while not self._is_over.wait(_LOOK_SECONDS):
            try:
                if time.monotonic() - beaten_at >= self._heartbeat_seconds:
                    self._beat()
                    beaten_at = time.monotonic()
                with self._database.read() as session:
                    if is_cancel_requested(session, self._experiment_id):
                        self.stop(StopReason.CANCELLED)
            except StaleAttemptError:
                if not self._is_over.is_set():
                    self.stop(StopReason.STALE)
                return
            except StoreError as error:
                # The reconciler may take this driver for dead; the next heartbeat will tell.
                _log.warning("could not write the heartbeat: %s", error)

    def _beat(self) -> None:
        with self._database.write() as session:
            heartbeat(session, self._experiment_id, self._attempt)
