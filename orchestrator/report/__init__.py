"""What a finished (or running) experiment says, for people and papers. Pure: no database, no clock.

Reading order: content.py (the data), building.py (how it is made), wording.py (the sentences), tables.py, then one
file per format.
"""

from orchestrator.report.building import build_report
from orchestrator.report.content import ExperimentFacts, Report, TrialRecord

__all__ = ["ExperimentFacts", "Report", "TrialRecord", "build_report"]
