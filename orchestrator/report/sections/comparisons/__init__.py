"""Effects, intervals and verdicts."""
