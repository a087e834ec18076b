"""How weights are trained."""
