"""What a finished (or running) experiment says, for people and papers. Pure: no database, no clock.

Reading order: content/report.py (the data), building.py (how it is made), sections/section.py (what one subject gives),
sections/order.py (all subjects), then one file per format.
"""

from orchestrator.report.building import build_report
from orchestrator.report.content.report import ExperimentFacts, Report, TrialRecord

__all__ = ["ExperimentFacts", "Report", "TrialRecord", "build_report"]
