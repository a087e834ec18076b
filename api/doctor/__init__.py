"""What this machine and its environment have and lack for an experiment: `sigmalab doctor`."""

from api.doctor.examination import examine
from api.doctor.finding import Finding, State

__all__ = ["Finding", "State", "examine"]
