"""Results that were trained elsewhere: read, paired, and reported as ours are; never stored as experiments."""
