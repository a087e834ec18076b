"""What a training starts from, by name. Free of torch: whoever compares two trainings reads this."""

WEIGHTS, BATCHES, RANDOM = "start_weights", "start_batches", "start_random"
"""Keys of a trial's provenance."""
START_WORDS = {WEIGHTS: "initial weights", BATCHES: "first batches", RANDOM: "random state"}
"""How sentences call them."""
REPLACED = "start_replaced"
"""Of a look at several arms: names of what a change of the user's own replaces, in no way comparable."""
