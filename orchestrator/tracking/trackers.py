"""All trackers that there are, and those of a deployment."""

from typing import TYPE_CHECKING

from orchestrator.tracking.mlflow.kind import MlflowKind
from orchestrator.tracking.tensorboard.kind import TensorboardKind
from orchestrator.tracking.tracker import TrackerKind

if TYPE_CHECKING:
    from orchestrator.settings import Settings

TRACKERS: dict[str, TrackerKind] = {kind.name: kind for kind in (MlflowKind(), TensorboardKind())}
"""By name. A new tracker is one folder and one entry here."""


def trackers_of(settings: "Settings") -> list[TrackerKind]:
    """Those that this deployment names, on or not, in its order."""
    return [TRACKERS[name] for name in settings.trackers]


def trackers_on(settings: "Settings") -> list[TrackerKind]:
    """Those of them that have what they need."""
    return [kind for kind in trackers_of(settings) if kind.is_on(settings)]
