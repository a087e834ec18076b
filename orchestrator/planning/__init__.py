"""From a spec to its plan: every trial, every finding, the cost and the power forecast. Pure."""
