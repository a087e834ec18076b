"""What the plan alone decides about a trial."""

PLANNED_FIELDS = {
    "seed": "the plan gives every trial its seed; list seeds under `seeds`",
    "score_test": "the phase decides this; only confirm trials score the test split",
}
"""Fields of a trial that no patch and no space may touch, each with the reason."""
