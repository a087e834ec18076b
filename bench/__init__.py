"""Speed and error rates, measured."""

# Before torch: it says how torch's idle threads wait, as in a trial.
import trainers  # noqa: F401
