"""The Python client: every call of the HTTP interface, typed.

    ClientError
    |- ServiceUnreachableError   nobody answers there
    |- StrangerError             another state folder's service, which nobody has named; nothing was changed
    |- RefusedError              the service answered with a problem; carries it

Synchronous only: a script asks one question at a time.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar, overload
from urllib.parse import quote

import httpx
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from api.endpoint import ALIVE, HOME_ID_HEADER, REPLAYED_HEADER, Endpoint, find_endpoint, named_endpoint
from api.sse import Event, read_events
from api.views import BiasViewView, PlanView, ProblemView, ReadinessView, ReceptiveFieldView
from orchestrator.addresses import is_http_address, without_password
from orchestrator.proxies import ProxyUnusableError, through, transport_for
from orchestrator.service.views import ExperimentPage, ExperimentView, Origin, Submission, TrialView
from orchestrator.state_folder import home_id
from orchestrator.statistics.comparison import Comparison
from orchestrator.status import ExperimentStatus, Phase
from trainers.atomic_file import replaced_file

Spec = BaseModel | Mapping[str, JsonValue] | Path | str | bytes
"""An ExperimentSpec, the same as a mapping, a file (Path), or JSON text."""

ReportFormat = Literal[
    "json", "md", "html", "csv", "latex", "appendix-latex", "appendix-md", "trials-csv", "trials-parquet", "zip"
]
BINARY_FORMATS: frozenset[ReportFormat] = frozenset({"trials-parquet", "zip"})

ELSEWHERE = (
    "if yours runs elsewhere, type this in the folder that it was started in, or name it: SIGMALAB_HOME (its state "
    "folder) or SIGMALAB_URL"
)
"""What to do where the state folder here has no running service."""

_RECONNECT_SECONDS = 1.0
_AWAY = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT})
"""What a service says whose database restarts, and a proxy whose service does."""
_TRIALS = TypeAdapter(tuple[TrialView, ...])
_COMPARISONS = TypeAdapter(tuple[Comparison, ...])
_VIEWS = TypeAdapter(tuple[BiasViewView, ...])
_FIELDS = TypeAdapter(tuple[ReceptiveFieldView, ...])
_DOCUMENT = TypeAdapter(dict[str, JsonValue])
AnswerT = TypeVar("AnswerT")
ModelT = TypeVar("ModelT", bound=BaseModel)


class ClientError(Exception):
    """A request did not give what was asked for."""


class ServiceUnreachableError(ClientError):
    """Nobody answers at the service's address."""

    def __init__(self, endpoint: Endpoint, reason: str) -> None:
        self.endpoint = endpoint
        super().__init__(f"no sigmalab service answers at {endpoint.shown} ({endpoint.source}): {reason}")


class StrangerError(ClientError):
    """The service that answers is not this state folder's, and nobody has named it: nothing was changed."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        super().__init__(
            f"what answers at {endpoint.shown} is not the service of {endpoint.home}, where none runs; nothing was "
            f"changed. Start yours with `sigmalab serve`, or name that one: SIGMALAB_URL={endpoint.shown}, or "
            f"--url {endpoint.shown}"
        )


class RefusedError(ClientError):
    """The service answered with a problem (RFC 9457)."""

    def __init__(self, problem: ProblemView) -> None:
        self.problem = problem
        complaints = [f"{item.pointer or item.parameter or '/'}: {item.detail}" for item in problem.errors]
        super().__init__("\n  ".join([problem.detail, *(c for c in complaints if not problem.detail.endswith(c))]))


class Client:
    """A connection to the service; use it as a context manager, or call `close`.

    Whatever changes something raises StrangerError where nobody has named the service and it is another state folder's.

    Args:
        url: the service (`None`: see `api.endpoint`).
        token: sent as a bearer token (`None`: SIGMALAB_API_TOKEN, if set).
        timeout_seconds: how long one answer may take; `watch` is not bound by it.
        transport: how bytes travel; tests speak to an application in this process.

    Raises:
        ServiceUnreachableError: the address is none, or the proxy for it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout_seconds: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.endpoint = named_endpoint(url) if url else find_endpoint()
        self._belongs_here: bool | None = None
        token = token or os.environ.get("SIGMALAB_API_TOKEN")
        self._http = httpx.Client(
            base_url=_base_url(self.endpoint),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout_seconds,
            transport=transport or _transport(self.endpoint),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    @property
    def belongs_here(self) -> bool:
        """Whether the service was named, or is the one of the state folder here (it is asked once).

        Raises:
            ServiceUnreachableError: nobody answers, or a program that is not a sigmalab service.
        """
        if self._belongs_here is None:
            home = self.endpoint.home
            # None of both is no match: a service of an earlier version, and a folder that never had one.
            self._belongs_here = home is None or self._home_id() == (home_id(home) or object())
        return self._belongs_here

    def _home_id(self) -> str | None:
        answer = self._send("GET", "/healthz")
        if answer.status_code == httpx.codes.NOT_FOUND or (answer.is_success and answer.text != ALIVE):
            raise self._unreachable(f"another program answers there; {ELSEWHERE}")
        return str(answer.headers[HOME_ID_HEADER]) if HOME_ID_HEADER in answer.headers else None

    def submit(self, spec: Spec, *, idempotency_key: str | None = None) -> ExperimentView:
        """Hand in an experiment; it runs from now on, whatever happens to this process.

        Args:
            spec: the question.
            idempotency_key: makes a repeated call (after a lost answer, say) return the first call's experiment.
        """
        return self.hand_in(spec, idempotency_key=idempotency_key).view

    def hand_in(self, spec: Spec, *, idempotency_key: str | None = None, unless_running: bool = False) -> Submission:
        """As `submit`, and say where the experiment comes from.

        Args:
            spec: the question.
            idempotency_key: as in `submit`.
            unless_running: if the same question (spec, code and data) is on its way already, give that one.
        """
        query = {"unless_running": "true"} if unless_running else {}
        answer = self._post("/experiments", _body(spec), _key_header(idempotency_key), query)
        if REPLAYED_HEADER in answer.headers:
            origin = Origin.REPLAY
        else:
            origin = Origin.NEW if answer.status_code == httpx.codes.ACCEPTED else Origin.TWIN
        return Submission(_read(ExperimentView, answer), origin)

    def plan(self, spec: Spec) -> PlanView:
        """What the experiment would do; nothing is stored or started."""
        return _read(PlanView, self._post("/experiments/plan", _body(spec), changes=False))

    def get(self, experiment_id: str) -> ExperimentView:
        """Where an experiment stands."""
        return _read(ExperimentView, self._get(_path(experiment_id)))

    def page(
        self, *, limit: int = 50, cursor: str | None = None, status: ExperimentStatus | None = None
    ) -> ExperimentPage:
        """One page of experiments, newest first; `next_cursor` leads to the next one."""
        query = {"limit": limit, "cursor": cursor, "status": status}
        return _read(ExperimentPage, self._get("/experiments", query))

    def experiments(self, *, status: ExperimentStatus | None = None) -> Iterator[ExperimentView]:
        """All experiments, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self.page(cursor=cursor, status=status)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def trials(self, experiment_id: str, *, phase: Phase | None = None) -> tuple[TrialView, ...]:
        """Every trial of an experiment."""
        return _read(_TRIALS, self._get(_path(experiment_id, "trials"), {"phase": phase}))

    def comparisons(self, experiment_id: str) -> tuple[Comparison, ...]:
        """What the pairs say so far."""
        return _read(_COMPARISONS, self._get(_path(experiment_id, "comparisons")))

    def report(self, experiment_id: str, report_format: ReportFormat = "json") -> str:
        """The report in one of its formats that are text.

        Raises:
            ValueError: this one is not.
        """
        if report_format in BINARY_FORMATS:
            raise ValueError(f"{report_format} is not text: take report_file")
        return self._get(_path(experiment_id, "report"), {"format": report_format}).text

    def report_file(self, experiment_id: str, report_format: ReportFormat) -> bytes:
        """The report in any format; `zip` holds every file of it, figures included."""
        return self._get(_path(experiment_id, "report"), {"format": report_format}).content

    def receptive_fields(self, experiment_id: str) -> tuple[ReceptiveFieldView, ...]:
        """Every arm's mean receptive field, before and after training: what it measures, and its `key`."""
        return _read(_FIELDS, self._get(_path(experiment_id, "receptive-fields")))

    def receptive_field(self, experiment_id: str, key: str, file_format: Literal["npy", "png"] = "npy") -> bytes:
        """One of them as a file: `numpy.load(io.BytesIO(...))` reads the array, [H, W] with sum 1."""
        path = _path(experiment_id, "receptive-fields", *(quote(part, safe="") for part in key.split("/")))
        return self._get(path, {"format": file_format}).content

    def receptive_field_maps(self, experiment_id: str, file_format: Literal["npz", "png"] = "npz") -> bytes:
        """All of them as one file: arrays by key, or all arms side by side with their differences."""
        return self._get(_path(experiment_id, "receptive-fields", "maps"), {"format": file_format}).content

    def learned_bias(self, experiment_id: str) -> tuple[BiasViewView, ...]:
        """What query tokens see of every arm's position bias, mean over seeds: fits, and its `key`."""
        return _read(_VIEWS, self._get(_path(experiment_id, "learned-bias")))

    def learned_bias_map(self, experiment_id: str, key: str, file_format: Literal["npy", "png"] = "npy") -> bytes:
        """One of them as a file: `numpy.load(io.BytesIO(...))` reads the array, [h, H, W]."""
        path = _path(experiment_id, "learned-bias", *(quote(part, safe="") for part in key.split("/")))
        return self._get(path, {"format": file_format}).content

    def learned_bias_maps(self, experiment_id: str, file_format: Literal["npz", "png"] = "npz") -> bytes:
        """All of them as one file: arrays by key, or every arm's layers as the middle token sees them."""
        return self._get(_path(experiment_id, "learned-bias", "maps"), {"format": file_format}).content

    def logs(self, experiment_id: str) -> str:
        """What the newest driver has written."""
        return self._get(_path(experiment_id, "logs")).text

    def trial_logs(self, experiment_id: str, trial_id: int) -> str:
        """What a trial's own processes have written."""
        return self._get(_path(experiment_id, "trials", str(trial_id), "logs")).text

    def save_weights(self, experiment_id: str, trial_id: int, file: Path) -> None:
        """Write the weights of a finished trial's best epoch into a file (safetensors; `trainers.exported_weights`).

        Raises:
            RefusedError: it has none; says why.
            OSError: the file can't be written.
        """
        path = _path(experiment_id, "trials", str(trial_id), "weights")
        try:
            with self._http.stream("GET", path) as answer:
                if not answer.is_success:
                    answer.read()
                    raise RefusedError(_problem(answer))
                with replaced_file(file) as opened:
                    for piece in answer.iter_bytes():
                        opened.write(piece)
        except httpx.TransportError as error:
            raise ServiceUnreachableError(self.endpoint, str(error)) from error

    def cancel(self, experiment_id: str) -> ExperimentView:
        """Ask a running experiment to stop; finished trials stay."""
        return _read(ExperimentView, self._post(_path(experiment_id, "cancel")))

    def resume(self, experiment_id: str, *, retry: bool = False) -> ExperimentView:
        """Go on with an experiment that failed or was cancelled; `retry`: its failed trials are tried again, too."""
        query = {"retry": "true"} if retry else {}
        return _read(ExperimentView, self._post(_path(experiment_id, "resume"), query=query))

    def extend(self, experiment_id: str, seeds: Sequence[int]) -> ExperimentView:
        """Add seeds to a finished experiment and run them."""
        body = json.dumps({"seeds": list(seeds)}).encode()
        return _read(ExperimentView, self._post(_path(experiment_id, "extend"), body))

    def schema(self) -> dict[str, JsonValue]:
        """The JSON Schema of a spec."""
        return _read(_DOCUMENT, self._get("/schema"))

    def readiness(self) -> ReadinessView:
        """Whether experiments can run to their end right now."""
        answer = self._send("GET", "/readyz")
        if answer.status_code not in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE):
            raise RefusedError(_problem(answer))
        return _read(ReadinessView, answer)

    def watch(self, experiment_id: str, *, after: int = 0, patience_seconds: float = 120.0) -> Iterator[Event]:
        """What happens to an experiment, from its first event (or the one after `after`) to `end`.

        A connection that breaks is made again and goes on after the last event.

        Args:
            experiment_id: which one.
            after: id of the last event that is already known.
            patience_seconds: how long the service may be away before this gives up.

        Raises:
            ServiceUnreachableError: it was away for longer.
            RefusedError: no experiment has this id.
        """
        last_seen, away_since = after, None
        while True:
            try:
                for event in self._events(experiment_id, last_seen):
                    away_since = None
                    if event is None:
                        continue
                    last_seen = event.id
                    yield event
                    if event.kind == "end":
                        return
                reason = "the connection was closed"
            except httpx.TransportError as error:
                reason = str(error)
            except RefusedError as error:
                if error.problem.status not in _AWAY:
                    raise
                reason = str(error)
            now = time.monotonic()
            away_since = now if away_since is None else away_since
            if now - away_since > patience_seconds:
                raise self._unreachable(reason)
            time.sleep(_RECONNECT_SECONDS)

    def _events(self, experiment_id: str, last_seen: int) -> Iterator[Event | None]:
        """Events of one connection, after a `None` that says that it was made: for hours nothing may happen."""
        # The service sends a comment at least every 15 seconds.
        timeout = httpx.Timeout(10.0, read=60.0)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last_seen)}
        with self._http.stream("GET", _path(experiment_id, "events"), headers=headers, timeout=timeout) as answer:
            if answer.status_code != httpx.codes.OK:
                answer.read()
                raise RefusedError(_problem(answer))
            yield None
            yield from read_events(answer)

    def _get(self, path: str, query: Mapping[str, str | int | None] | None = None) -> httpx.Response:
        answer = self._send(
            "GET", path, query={name: value for name, value in (query or {}).items() if value is not None}
        )
        return _accepted(answer)

    def _post(
        self,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str | int] | None = None,
        *,
        changes: bool = True,
    ) -> httpx.Response:
        if changes and not self.belongs_here:
            raise StrangerError(self.endpoint)
        content_type = {"Content-Type": "application/json"} if body else {}
        return _accepted(self._send("POST", path, query=query, body=body, headers={**content_type, **(headers or {})}))

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            return self._http.request(method, path, params=dict(query or {}), content=body, headers=dict(headers or {}))
        except httpx.TransportError as error:
            raise self._unreachable(str(error)) from error

    def _unreachable(self, reason: str) -> ServiceUnreachableError:
        return ServiceUnreachableError(self.endpoint, f"{reason}{through(self.endpoint.url)}")


def _key_header(idempotency_key: str | None) -> dict[str, str]:
    if idempotency_key and not (idempotency_key.isascii() and idempotency_key.isprintable()):
        raise ClientError(
            "an idempotency key must consist of printable ASCII characters, because it travels in an HTTP header"
        )
    return {"Idempotency-Key": idempotency_key} if idempotency_key else {}


def _base_url(endpoint: Endpoint) -> httpx.URL:
    try:
        url = httpx.URL(endpoint.url)
    except httpx.InvalidURL:
        url = None
    if url is None or not is_http_address(endpoint.url):
        # Without the reason that httpx gives: it may quote a part of a password.
        raise ServiceUnreachableError(endpoint, "that is not an address; write http://host:port")
    return url


def _transport(endpoint: Endpoint) -> httpx.BaseTransport:
    try:
        return transport_for(endpoint.url)
    except ProxyUnusableError as error:
        raise ServiceUnreachableError(endpoint, str(error)) from error


def _body(spec: Spec) -> bytes:
    if isinstance(spec, Path):
        return spec.read_bytes()
    if isinstance(spec, bytes):
        return spec
    if isinstance(spec, str):
        return spec.encode()
    if isinstance(spec, BaseModel):
        return spec.model_dump_json().encode()
    return json.dumps(dict(spec)).encode()


def _path(experiment_id: str, *rest: str) -> str:
    # An id is one segment of the path, whatever the user has typed.
    return "/".join(("/experiments", quote(experiment_id, safe="") or "%20", *rest))


def _accepted(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    raise RefusedError(_problem(answer))


@overload
def _read(kind: type[ModelT], answer: httpx.Response) -> ModelT: ...
@overload
def _read(kind: TypeAdapter[AnswerT], answer: httpx.Response) -> AnswerT: ...
def _read(kind: type[BaseModel] | TypeAdapter[AnswerT], answer: httpx.Response) -> BaseModel | AnswerT:
    """What the service answered.

    Raises:
        RefusedError: another program answers at this address, or another version of the service.
    """
    try:
        if isinstance(kind, TypeAdapter):
            return kind.validate_json(answer.content)
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        raise RefusedError(_foreign(answer)) from error


def _problem(answer: httpx.Response) -> ProblemView:
    """The service's problem, or one made from an answer of somebody else (a proxy, another program)."""
    try:
        return ProblemView.model_validate_json(answer.content)
    except ValidationError:
        return _foreign(answer)


def _foreign(answer: httpx.Response) -> ProblemView:
    return ProblemView(
        type="about:blank",
        title=answer.reason_phrase,
        status=answer.status_code,
        detail=f"HTTP {answer.status_code} {answer.reason_phrase} from {without_password(str(answer.url))}, which is "
        f"not a sigmalab service (or is one of another version){through(str(answer.url))}",
        code="not_sigmalab",
    )
