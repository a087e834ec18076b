"""What the application holds while it runs, and its background threads."""

import threading
from dataclasses import dataclass, field

from api.metrics import Metrics
from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings


@dataclass
class AppState:
    """One for each application."""

    settings: Settings
    """The deployment's environment."""
    metrics: Metrics
    """Counters."""
    experiments: Experiments
    """The use cases."""
    home_id: str
    """Tells this state folder from every other."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the application ends."""
