"""What the application holds while it runs, and its background threads."""

import threading
from dataclasses import dataclass, field

from anyio import CapacityLimiter

from api.event_looks import EventLooks
from api.metrics import Metrics
from api.pages.health import Health
from api.pages.refreshing import Refreshing
from api.reading_places import READERS_AT_ONCE, WAITING_AT_MOST, ReadingPlaces
from api.report_desk import ReportDesk
from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings

PLANNERS_AT_ONCE = READERS_AT_ONCE + WAITING_AT_MOST + 8
"""Threads for requests that may read data: so many are never taken by those that do."""


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
    reports: ReportDesk
    """Builds and keeps reports."""
    pictures: ReportDesk
    """Finds and draws single images: whoever looks at them does not wait behind a report of minutes."""
    looks: EventLooks
    """Looks for what has happened, for all who watch."""
    health: Health
    """What pages tell of the servers that experiments need."""
    refreshing: Refreshing = field(default_factory=Refreshing)
    """Pages as scripts load them again."""
    planners: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(PLANNERS_AT_ONCE))
    """Threads for requests that may read data."""
    reading: ReadingPlaces = field(default_factory=ReadingPlaces)
    """Places for those that do."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the application ends."""
