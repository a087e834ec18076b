"""Settings, and the servers that they name: Ray, the trackers, the database, the service itself."""

import difflib
import os
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from api.client import Client, ClientError
from api.doctor.finding import Finding, note, ok, problem
from api.endpoint import DEFAULT_URL, find_endpoint
from api.local_stack.errors import StackError
from api.local_stack.existing import ray_token
from api.local_stack.record import StackRecord, read_record
from api.local_stack.servers import ray_token_file
from orchestrator.addresses import without_password
from orchestrator.errors import StoreError
from orchestrator.loopback import is_loopback
from orchestrator.settings import Settings, WrongSettingsError, settings_here
from orchestrator.state_folder import state_folder
from orchestrator.tracking.trackers import trackers_of

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
        settings = settings_here()
    except WrongSettingsError as error:
        for variable, message in error.problems:
            name = variable.partition("=")[0]
            findings.append(problem("settings", f"{variable}: {message}", f"unset {name}, or correct it"))
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
        return [note("service", f"{endpoint.shown} runs, but {'; '.join(lacking)}", "its log is in the state folder")]
    return [ok("service", f"{endpoint.shown} is ready ({endpoint.source})")]


def look_at_ray(settings: Settings | None) -> list[Finding]:
    """The installed Ray, and a cluster that is there already."""
    own = version("ray")
    address = os.environ.get("RAY_ADDRESS")
    record = read_record(state_folder())
    dashboard = settings.ray_dashboard_url if settings is not None else None
    if record is not None and record.ray_url:
        dashboard = record.ray_url
    elif address and address.startswith(("http://", "https://")):
        dashboard = address
    shown = None if dashboard is None else without_password(dashboard)
    try:
        found = None if dashboard is None else _ray_version(dashboard, _ray_tokens(settings, record))
    except _TokenWantedError:
        if (
            not address
            and record is None
            and (settings is None or "ray_dashboard_url" not in settings.model_fields_set)
        ):
            return [ok("Ray", f"{own} is installed; somebody's Ray at {shown} asks for a token and is left alone")]
        return [
            problem(
                "Ray",
                f"{own} is installed; the cluster at {shown} asks for a token, and has taken none that is known here",
                "export SIGMALAB_RAY_AUTH_TOKEN=... (the cluster's)",
            )
        ]
    if found is None:
        return [_silent_ray(own, address, shown)]
    if found != own:
        return [
            problem(
                "Ray",
                f"{own} is installed, the cluster at {shown} has {found}: they can't work together",
                f"pip install 'ray=={own}' there, or unset RAY_ADDRESS and SIGMALAB_RAY_DASHBOARD_URL here",
            )
        ]
    return [ok("Ray", f"{own}, as the cluster at {shown}")]


def look_at_trackers(settings: Settings | None) -> list[Finding]:
    """Each tracker that the settings name."""
    if settings is None:
        return []
    found = []
    for kind in trackers_of(settings):
        sight = kind.look(settings)
        found.append(ok(kind.title, sight.reason) if sight.is_well else problem(kind.title, sight.reason, sight.advice))
    return found


def look_at_database(settings: Settings | None) -> list[Finding]:
    """Whether the database answers, and whether its schema is this version's."""
    if settings is None:
        return []
    # SQLAlchemy and Alembic: a second that no other command should pay.
    from orchestrator.store.inspection import inspect_database  # noqa: PLC0415

    try:
        found = inspect_database(settings.effective_database_url)
    except StoreError as error:
        return [problem("database", str(error), "correct or unset SIGMALAB_DATABASE_URL, or SIGMALAB_HOME")]
    if found.version is None:
        return [ok("database", f"{found.name}: empty; the service makes its tables")]
    if found.version == found.newest:
        return [ok("database", f"{found.name}, schema {found.version}")]
    if found.is_known:
        text = f"{found.name}, schema {found.version}; the next start brings it to {found.newest}"
        return [note("database", f"{text}, once no experiment runs")]
    return [
        problem(
            "database",
            f"{found.name} has schema {found.version}, this version knows {found.newest} as its newest",
            "upgrade sigmalab, or take another database",
        )
    ]


def _silent_ray(own: str, address: str | None, dashboard: str | None) -> Finding:
    named = None if address is None else without_password(address)
    if address and address.startswith(("http://", "https://")):
        return problem("Ray", f"{own} is installed; nobody answers at RAY_ADDRESS={named}", "unset RAY_ADDRESS")
    text = f"{own} is installed; no dashboard answers at {dashboard}"
    if address:
        text += f"; RAY_ADDRESS={named} names a cluster that `sigmalab serve` will ask"
    others = _running_rays()
    if others:
        return note("Ray", f"{text}; somebody's Ray runs on this machine ({others}) and is left alone")
    return ok("Ray", text)


def _ray_tokens(settings: Settings | None, record: StackRecord | None) -> list[str | None]:
    """What may open the dashboard, the likeliest first: the running stack's own token is shown to its Ray alone."""
    tokens = [] if settings is None else [settings.ray_auth_token]
    with suppress(StackError):
        tokens.append(ray_token(os.environ))
    with suppress(OSError, ValueError):
        if record is not None and record.ray_url and is_loopback(urlsplit(record.ray_url).hostname or ""):
            tokens.insert(0, ray_token_file(state_folder()).read_text().strip())
    return [token for token in dict.fromkeys(tokens) if token] or [None]


class _TokenWantedError(Exception):
    """Somebody answers, and has taken no token."""


def _ray_version(dashboard: str, tokens: Iterable[str | None]) -> str | None:
    """The cluster's version (`None`: nobody answers there)."""
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            # As the service asks it: past any proxy, which the token is not for.
            answer = httpx.get(
                f"{dashboard.rstrip('/')}/api/version", headers=headers, timeout=_SECONDS, trust_env=False
            )
            if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                continue
            return str(answer.json()["ray_version"]) if answer.is_success else None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, OverflowError):
            return None
    raise _TokenWantedError


def _running_rays() -> str:
    """The note that `ray start` leaves."""
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"  # noqa: S108 (Ray's choice)
    try:
        return noted.read_text().strip()
    except OSError:
        return ""
