"""What the other metrics of the split say."""
