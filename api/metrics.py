"""What Prometheus may ask: requests by route, their duration, open event streams; what is counted in the rows."""

import time
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.store.figures import Figures

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The application's own registry: two applications in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "sigmalab_http_requests", "Answered requests.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "sigmalab_http_request_seconds",
            "Time to the whole answer (event streams are left out).",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.streams = Gauge("sigmalab_event_streams", "Open event streams.", registry=self.registry)


class RowFigures(Collector):
    """Figures of the rows, as Prometheus takes them. Each process of a service gives the same: take the largest."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Each figure under its name."""
        figures = self._figures
        yield _by(GaugeMetricFamily, "sigmalab_experiments", "Experiments.", "status", figures.experiments)
        yield _by(GaugeMetricFamily, "sigmalab_trials", "Trials.", "status", figures.trials)
        yield _by(
            CounterMetricFamily,
            "sigmalab_driver_attempts",
            "Driver attempts that have ended, by what ended them.",
            "cause",
            figures.attempts,
        )
        yield CounterMetricFamily(
            "sigmalab_recoveries", "Driver attempts that went on with what was begun.", figures.recoveries
        )
        yield CounterMetricFamily("sigmalab_trial_retries", "Executions beyond the first of a trial.", figures.retries)
        yield CounterMetricFamily(
            "sigmalab_gpu_seconds_beyond_training",
            "GPU-seconds from first start to end, beyond training, of trials that were started again.",
            figures.seconds_beyond_training,
        )
        yield GaugeMetricFamily("sigmalab_claims", "Trials' folders that are trained into.", figures.claims)
        yield GaugeMetricFamily(
            "sigmalab_avoided_nodes", "Nodes that running experiments keep off.", figures.avoided_nodes
        )
        yield GaugeMetricFamily(
            "sigmalab_waiting_for_storage",
            "Experiments whose trials wait for the storage.",
            figures.waiting_for_storage,
        )
        yield _by(
            GaugeMetricFamily,
            "sigmalab_unshipped_values",
            "Values that a tracker does not have yet.",
            "tracker",
            figures.unshipped,
        )
        yield _by(
            GaugeMetricFamily,
            "sigmalab_oldest_unshipped_seconds",
            "Age of the oldest value that a tracker does not have yet.",
            "tracker",
            figures.oldest_unshipped_seconds,
        )


def _by(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    words: str,
    label: str,
    values: Mapping[str, float],
) -> Metric:
    family = kind(name, words, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


class MeasureRequests:
    """ASGI middleware that counts and times."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            # The route's pattern, never the path: ids would make one series each.
            route = scope["route"].path if "route" in scope else "(none)"
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            self._metrics.requests.labels(method, route, status).inc()
            if not route.endswith("/events"):
                self._metrics.seconds.labels(method, route).observe(time.monotonic() - started)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
