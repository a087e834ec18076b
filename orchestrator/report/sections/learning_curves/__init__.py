"""How arms trained: curves over epochs."""
