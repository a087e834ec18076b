"""Files in a trial's folder, by name; needs no torch."""

RESULT, CONFIG = "result.json", "trial.json"
CHECKPOINT = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
BEST_WEIGHTS = "best_weights.pt"
