"""The health strip: what an experiment needs, and whether it is there. Looked at once for all who look at a page."""

import asyncio
import time
from collections.abc import Mapping

from fastapi.concurrency import run_in_threadpool

from orchestrator.service.experiments import Experiments
from orchestrator.service.views import Condition

_FRESH_SECONDS = 5.0
_WAIT_SECONDS = 0.15
"""A server that is away may take seconds to be given up: a page does not wait for that."""


class Health:
    """Life: made with the application; each look is kept for a few seconds."""

    def __init__(self, experiments: Experiments) -> None:
        self._experiments = experiments
        self._seen: Mapping[str, Condition] | None = None
        self._seen_at = -_FRESH_SECONDS
        self._look: asyncio.Task[None] | None = None

    async def conditions(self) -> Mapping[str, Condition] | None:
        """Each part with its reason, of a few seconds ago at most; `None`: nobody has answered yet."""
        if time.monotonic() - self._seen_at >= _FRESH_SECONDS:
            if self._look is None or self._look.done():
                self._look = asyncio.create_task(self._look_again())
            await asyncio.wait([self._look], timeout=_WAIT_SECONDS)
        return self._seen

    async def _look_again(self) -> None:
        self._seen = await run_in_threadpool(self._experiments.readiness)
        self._seen_at = time.monotonic()
