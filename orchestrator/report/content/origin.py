"""Where results come from that sigmalab did not train."""

from datetime import datetime

from trainers.strict import StrictModel


class Origin(StrictModel):
    """What was read, and how it was understood."""

    source: str
    """A file's name, or an experiment of MLflow and its server."""
    digest: str
    """SHA-256 over what was read."""
    read_at: datetime
    """When it was read (UTC)."""
    num_rows: int
    """Trainings that it tells of."""
    num_passed_over: int
    """Those that were not asked for."""
    conditions: tuple[str, ...]
    """What all others have: `phase=confirm`."""
    columns: tuple[str, ...]
    """What was taken from a column of another name: `arm: variant`."""
    ask_again: str
    """The command that asks the same of the `results.csv` beside the report."""
