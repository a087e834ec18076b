"""Files of weights in a trial's folder, by name; needs no torch."""

CHECKPOINT = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
BEST_WEIGHTS = "best_weights.pt"
