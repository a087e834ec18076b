"""Settings, and the servers that they name: Ray, MLflow, the database, the service itself."""

import difflib
import os
from importlib.metadata import version
from pathlib import Path

import httpx
from pydantic import ValidationError

from api.client import Client, ClientError
from api.doctor.finding import Finding, note, ok, problem
from api.endpoint import DEFAULT_URL, find_endpoint
from api.local_stack.record import read_record
from orchestrator.errors import StoreError
from orchestrator.home import state_folder
from orchestrator.settings import Settings, without_password

_SECONDS = 3.0
_OTHERS = frozenset({"SIGMALAB_URL", "SIGMALAB_CACHE", "SIGMALAB_STACK_ID"})
"""Read by programs that know no `Settings`."""


def read_settings() -> tuple[Settings | None, list[Finding]]:
    """The environment's settings (`None`: they are wrong), and what is to be said of them."""
    known = known_variables()
    given = sorted(name for name in os.environ if name.startswith("SIGMALAB_"))
    findings = []
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            findings.append(note("settings", f"{name} is set, but nothing reads it", hint))
    try:
        settings = Settings()
    except ValidationError as error:
        for each in error.errors(include_url=False):
            name = f"SIGMALAB_{str(each['loc'][0]).upper()}" if each["loc"] else "SIGMALAB_*"
            findings.append(problem("settings", f"{name}={each['input']}: {each['msg']}", f"unset {name}, or mend it"))
        return None, findings
    if not findings:
        findings.append(ok("settings", ", ".join(given) + " set" if given else "none set: all defaults"))
    return settings, findings


def known_variables() -> set[str]:
    """Names of all variables of ours that anything reads."""
    return {f"SIGMALAB_{name.upper()}" for name in Settings.model_fields} | _OTHERS


def look_at_service() -> list[Finding]:
    """Whether a service answers where commands look for one."""
    endpoint = find_endpoint()
    try:
        with Client(timeout_seconds=_SECONDS) as client:
            readiness = client.readiness()
    except ClientError as error:
        if endpoint.url == DEFAULT_URL:
            return [ok("service", "none runs here; `sigmalab serve` starts one")]
        return [problem("service", str(error), "start it (sigmalab serve), or unset what names it")]
    lacking = [f"{name}: {check.reason}" for name, check in readiness.checks.items() if not check.ok]
    if lacking:
        return [note("service", f"{endpoint.url} runs, but {'; '.join(lacking)}", "its log is in the state folder")]
    return [ok("service", f"{endpoint.url} is ready ({endpoint.source})")]


def look_at_ray(settings: Settings | None) -> list[Finding]:
    """The installed Ray, and a cluster that is there already."""
    own = version("ray")
    address = os.environ.get("RAY_ADDRESS")
    record = read_record(state_folder())
    dashboard = settings.ray_dashboard_url if settings is not None else None
    if record is not None and record.ray_url:
        dashboard = record.ray_url
    elif address and address.startswith("http"):
        dashboard = address
    found = None if dashboard is None else _ray_version(dashboard)
    if found is None:
        if address and address.startswith("http"):
            return [problem("Ray", f"{own} is installed; nobody answers at RAY_ADDRESS={address}", "unset RAY_ADDRESS")]
        others = _running_rays()
        text = f"{own} is installed; no dashboard answers at {dashboard}"
        if address:
            text += f"; RAY_ADDRESS={address} names a cluster that `sigmalab serve` will ask"
        if others:
            return [note("Ray", f"{text}; somebody's Ray runs on this machine ({others}) and is left alone")]
        return [ok("Ray", text)]
    if found != own:
        return [
            problem(
                "Ray",
                f"{own} is installed, the cluster at {dashboard} has {found}: they can't work together",
                f"pip install 'ray=={own}' there, or unset RAY_ADDRESS and SIGMALAB_RAY_DASHBOARD_URL here",
            )
        ]
    return [ok("Ray", f"{own}, as the cluster at {dashboard}")]


def look_at_mlflow(settings: Settings | None) -> list[Finding]:
    """The MLflow server that is named, if one is."""
    uri = None if settings is None else settings.mlflow_tracking_uri
    own = version("mlflow")
    if uri is None:
        return [ok("MLflow", f"{own} is installed; no server is named: `sigmalab serve` starts one")]
    shown = without_password(uri)
    if not uri.startswith(("http://", "https://")):
        return [
            problem(
                "MLflow", f"MLFLOW_TRACKING_URI={shown} is no server", "export MLFLOW_TRACKING_URI=http://host:5000"
            )
        ]
    try:
        answer = httpx.get(f"{uri.rstrip('/')}/version", timeout=_SECONDS, trust_env=False)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return [problem("MLflow", f"{shown} does not answer: {error}", "start it, or unset MLFLOW_TRACKING_URI")]
    return [ok("MLflow", f"{answer.text.strip()[:20]} at {shown}; {own} is installed")]


def look_at_database(settings: Settings | None) -> list[Finding]:
    """Whether the database answers, and whether its schema is this version's."""
    if settings is None:
        return []
    # SQLAlchemy and Alembic: a second that no other command should pay.
    from orchestrator.store.inspection import inspect_database  # noqa: PLC0415

    try:
        found = inspect_database(settings.effective_database_url)
    except StoreError as error:
        return [problem("database", str(error), "mend or unset SIGMALAB_DATABASE_URL, or SIGMALAB_HOME")]
    if found.version is None:
        return [ok("database", f"{found.name}: empty; the service makes its tables")]
    if found.version == found.newest:
        return [ok("database", f"{found.name}, schema {found.version}")]
    if found.is_known:
        return [note("database", f"{found.name}, schema {found.version}; the next start brings it to {found.newest}")]
    return [
        problem(
            "database",
            f"{found.name} has schema {found.version}, this version knows {found.newest} as its newest",
            "upgrade sigmalab, or take another database",
        )
    ]


def _ray_version(dashboard: str) -> str | None:
    try:
        answer = httpx.get(f"{dashboard.rstrip('/')}/api/version", timeout=_SECONDS, trust_env=False)
        found = answer.json()["ray_version"] if answer.is_success else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None
    return str(found) if found else None


def _running_rays() -> str:
    """The note that `ray start` leaves."""
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"  # noqa: S108 (Ray's choice)
    try:
        return noted.read_text().strip()
    except OSError:
        return ""
