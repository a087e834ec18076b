"""sigmalab in a notebook: the use cases of `sigmalab plan` and `run`, shown as a terminal shows them."""
