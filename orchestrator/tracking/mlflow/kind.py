"""MLflow among the trackers: on once it has an address. Importing this loads no MLflow."""

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from orchestrator.addresses import is_http_address, without_password
from orchestrator.proxies import ProxyUnusableError, through, transport_for
from orchestrator.tracking.mlflow.links import NAME
from orchestrator.tracking.tracker import Sight, Tracker, TrackerKind

if TYPE_CHECKING:
    from orchestrator.settings import Settings

_HEALTH_SECONDS = 1.5
_VERSION_SECONDS = 0.5
_VERSION = re.compile(r"\d+\.[\w.+-]{1,20}")


class MlflowKind(TrackerKind):
    """An MLflow server."""

    name = NAME
    title = "MLflow"

    def is_on(self, settings: "Settings") -> bool:
        """Whether a server is named."""
        return settings.mlflow_tracking_uri is not None

    def look(self, settings: "Settings") -> Sight:
        """Ask the server whether it is well, and for its version, which a server with passwords may keep to itself."""
        uri = settings.mlflow_tracking_uri
        if uri is None:
            text = "no MLflow server is set (`sigmalab serve` starts one); the store keeps everything"
            return Sight(is_well=True, reason=text)
        if not is_http_address(uri):
            text = f"MLFLOW_TRACKING_URI={without_password(uri)} is not an address; write http://host:port"
            return Sight(is_well=False, reason=text, advice="export MLFLOW_TRACKING_URI=http://host:5000")
        host = urlsplit(without_password(uri)).netloc
        try:
            # As MLflow's own client does: through a proxy, if the server is elsewhere and the environment names one.
            with httpx.Client(transport=transport_for(uri), timeout=_HEALTH_SECONDS) as client:
                answer = client.get(f"{uri.rstrip('/')}/health")
                version = _version(client, uri) if answer.is_success else ""
        except ProxyUnusableError as error:
            return Sight(
                is_well=False, reason=f"MLflow at {host} can't be asked: {error}", advice="correct or unset the proxy"
            )
        except httpx.HTTPError as error:
            text = f"MLflow at {host} does not answer: {error}{through(uri)}"
            return Sight(is_well=False, reason=text, advice="start it, or unset MLFLOW_TRACKING_URI")
        if not answer.is_success:
            text = f"MLflow at {host} answers HTTP {answer.status_code}{through(uri)}"
            advice = "is it an MLflow server? Correct or unset MLFLOW_TRACKING_URI"
            return Sight(is_well=False, reason=text, advice=advice)
        return Sight(is_well=True, reason=f"MLflow{version} at {host} answers")

    def open(self, settings: "Settings") -> Tracker:
        """A client of the server; nothing is sent yet."""
        # Seconds, and nobody needs them who has no MLflow.
        from orchestrator.tracking.mlflow.tracker import MlflowTracker  # noqa: PLC0415

        if settings.mlflow_tracking_uri is None:
            raise ValueError("no MLflow server is set")
        return MlflowTracker(settings.mlflow_tracking_uri, settings.mlflow_link)


def _version(client: httpx.Client, uri: str) -> str:
    """The server's version after a space (empty: it does not tell)."""
    try:
        answer = client.get(f"{uri.rstrip('/')}/version", timeout=_VERSION_SECONDS)
    except httpx.HTTPError:
        return ""
    told = answer.text.strip()
    return f" {told}" if answer.is_success and _VERSION.fullmatch(told) else ""
