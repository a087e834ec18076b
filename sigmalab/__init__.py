"""Does my change really help? Paired experiments from Python: `plan`, `compare`, and `compare_async`."""

from api.notebook.asking import (
    ComparisonResult,
    NoReportError,
    PlannedComparison,
    compare,
    compare_async,
    plan,
)

__all__ = ["ComparisonResult", "NoReportError", "PlannedComparison", "compare", "compare_async", "plan"]
