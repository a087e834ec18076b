"""Ray Jobs over plain HTTP: submit, look, stop, read the log. No Ray in this process."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from orchestrator.addresses import is_http_address, without_password
from orchestrator.capacity import Node
from orchestrator.errors import RayUnavailableError

_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_SUBMIT_TIMEOUT = httpx.Timeout(60.0, connect=3.0)
"""Ray answers a submission only when the job's supervisor is being started."""
_QUICK_TIMEOUT = httpx.Timeout(2.0)


class JobStatus(StrEnum):
    """Ray's own words, and one more."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    LOST = "LOST"
    """Ray does not know the job: it was never submitted, or the head has lost its table."""

    @property
    def is_terminal(self) -> bool:
        """Whether the job's process is known to have ended."""
        return self in (JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED)


class Job(NamedTuple):
    """What Ray says about a job."""

    status: JobStatus
    message: str
    """Why, in Ray's words (empty: Ray does not know the job)."""
    exit_code: int | None = None
    """Of its process (`None`: it has not ended, or Ray does not know)."""


class _JobDetails(BaseModel):
    """What is read of Ray's answer (ray/dashboard/modules/job/pydantic_models.py, `JobDetails`)."""

    status: JobStatus
    message: str | None = None
    driver_exit_code: int | None = None


class _Version(BaseModel):
    """What is read of Ray's answer (ray/dashboard/modules/version.py, `VersionResponse`)."""

    session_name: str | None = None


class _JobLogs(BaseModel):
    logs: str


class _NodeState(BaseModel):
    """What is read of Ray's answer (ray/util/state/common.py, `NodeState`)."""

    state: str
    resources_total: dict[str, float]


class _NodesPage(BaseModel):
    result: list[_NodeState]


class _NodesData(BaseModel):
    result: _NodesPage


class _NodesAnswer(BaseModel):
    data: _NodesData


ModelT = TypeVar("ModelT", bound=BaseModel)


class RayJobs:
    """Ray's dashboard. Every method raises RayUnavailableError if it does not answer, or refuses."""

    def __init__(self, dashboard_url: str, token: str | None = None) -> None:
        """Nothing is sent yet.

        Args:
            dashboard_url: such as `http://127.0.0.1:8265`.
            token: for clusters that ask for one (`RAY_AUTH_MODE=token`).
        """
        self._shown = without_password(dashboard_url.rstrip("/"))
        self._is_address = is_http_address(dashboard_url)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=dashboard_url.rstrip("/") if self._is_address else "",
            headers=headers,
            timeout=_TIMEOUT,
            # No proxy from the environment: the dashboard is near, and the token is not for others.
            trust_env=False,
            # Few requests, far between: nothing stays open, and a head that restarted leaves no dead connection.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def submit(self, job_id: str, entrypoint: str, env: Mapping[str, str], *, working_dir: str | None = None) -> None:
        """Start a job, unless a job with this id is there already.

        Args:
            job_id: Ray's `submission_id`.
            entrypoint: shell command.
            env: environment variables of the job.
            working_dir: URI that Ray unpacks into the job's folder, such as `s3://bucket/code.zip` (`None`: the code
                is installed on the cluster).
        """
        # Ray answers a second submission with HTTP 500, as it does when something is broken: so look first.
        if self.find(job_id).status is not JobStatus.LOST:
            return
        runtime_env: dict[str, JsonValue] = {"env_vars": dict(env)}
        if working_dir is not None:
            runtime_env["working_dir"] = working_dir
        body: dict[str, JsonValue] = {"entrypoint": entrypoint, "submission_id": job_id, "runtime_env": runtime_env}
        answer = self._send("POST", "/api/jobs/", json=body, timeout=_SUBMIT_TIMEOUT)
        if answer.is_error and self.find(job_id).status is JobStatus.LOST:
            raise self._refused(answer)

    def find(self, job_id: str) -> Job:
        """Where the job stands, and why."""
        answer = self._send("GET", _path(job_id))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return Job(JobStatus.LOST, "")
        details = self._parsed(_JobDetails, answer)
        return Job(details.status, details.message or "", details.driver_exit_code)

    def stop(self, job_id: str) -> None:
        """Ask the job's process to end (SIGTERM, later SIGKILL); a job that has ended or is lost stays as it is."""
        answer = self._send("POST", f"{_path(job_id)}/stop")
        if answer.is_error and answer.status_code != httpx.codes.NOT_FOUND:
            raise self._refused(answer)

    def logs(self, job_id: str) -> str | None:
        """All that the job has written (`None`: Ray does not know the job)."""
        answer = self._send("GET", f"{_path(job_id)}/logs")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return self._parsed(_JobLogs, answer).logs

    def nodes(self) -> tuple[Node, ...]:
        """What the cluster's living nodes have in all; asked for quickly, as a plan does not need it."""
        answer = self._send("GET", "/api/v0/nodes", timeout=_QUICK_TIMEOUT)
        listed = self._parsed(_NodesAnswer, answer).data.result.result
        alive = [node.resources_total for node in listed if node.state == "ALIVE"]
        return tuple(Node.of_resources(node) for node in alive)

    def check(self) -> None:
        """Ask whether it answers, within two seconds; raises RayUnavailableError with the reason."""
        self.cluster()

    def cluster(self) -> str | None:
        """Ray's name of its session, within two seconds: a head that restarts has another one (`None`: not told)."""
        return self._parsed(_Version, self._send("GET", "/api/version", timeout=_QUICK_TIMEOUT)).session_name

    def _send(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, JsonValue] | None = None,
        timeout: httpx.Timeout = _TIMEOUT,
    ) -> httpx.Response:
        if not self._is_address:
            raise RayUnavailableError(
                f"SIGMALAB_RAY_DASHBOARD_URL={self._shown} is not an address; write http://host:8265"
            )
        try:
            return self._http.request(method, path, json=json, timeout=timeout)
        except httpx.TimeoutException as error:
            raise RayUnavailableError(f"Ray's dashboard at {self._shown} did not answer in time") from error
        except httpx.TransportError as error:
            raise RayUnavailableError(f"Ray's dashboard at {self._shown} does not answer: {error}") from error

    def _parsed(self, model: type[ModelT], answer: httpx.Response) -> ModelT:
        if answer.is_error:
            raise self._refused(answer)
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as error:
            raise RayUnavailableError(f"what answers at {self._shown} is not Ray's dashboard") from error

    def _refused(self, answer: httpx.Response) -> RayUnavailableError:
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return RayUnavailableError(
                f"Ray's dashboard at {self._shown} wants another token (SIGMALAB_RAY_AUTH_TOKEN)"
            )
        lines = answer.text.strip().splitlines()
        # Ray sends tracebacks; their last line says what went wrong.
        return RayUnavailableError(
            f"Ray's dashboard at {self._shown} answered {answer.status_code}: {lines[-1] if lines else 'nothing'}"
        )


def _path(job_id: str) -> str:
    return f"/api/jobs/{quote(job_id, safe='')}"
