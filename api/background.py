"""Threads beside the HTTP application: the reconciler starts drivers, shippers feed the trackers."""

import logging
import threading
from collections.abc import Callable

from orchestrator.service.jobs import RayJobs
from orchestrator.service.reconciler import Reconciler
from orchestrator.service.state_folders import StateFolders
from orchestrator.settings import Settings
from orchestrator.store.database import Database
from orchestrator.tracking.shipper import Shipper
from orchestrator.tracking.trackers import trackers_on

_log = logging.getLogger(__name__)
_JOIN_SECONDS = 10.0
_FIRST_LOOK_SECONDS = 5.0


class Background:
    """The threads; each takes a lease, so that any number of API processes may run side by side."""

    def __init__(self, database: Database, settings: Settings, folders: StateFolders) -> None:
        self._stop = threading.Event()
        jobs = RayJobs(settings.ray_dashboard_url, settings.ray_auth_token)
        self._reconciler = Reconciler(database, jobs, settings, folders=folders)
        self._threads = [_thread("reconciler", self._reconciler.run, self._stop)]
        for kind in trackers_on(settings):
            shipper = Shipper(database, kind.open(settings), storage=settings.effective_storage)
            self._threads.append(_thread(f"shipper to {kind.title}", shipper.run, self._stop))

    def start(self) -> None:
        """Start all, and give the reconciler a moment for its first look: a service that is up is led."""
        for thread in self._threads:
            thread.start()
        self._reconciler.has_looked.wait(_FIRST_LOOK_SECONDS)

    def stop(self) -> None:
        """Ask all to end and wait for it; one that waits for the network is left to die with the process."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_JOIN_SECONDS)
                if thread.is_alive():
                    _log.warning("%s did not end within %.0f s", thread.name, _JOIN_SECONDS)


def _thread(name: str, run: Callable[[threading.Event], None], stop: threading.Event) -> threading.Thread:
    return threading.Thread(target=run, args=(stop,), name=name, daemon=True)
