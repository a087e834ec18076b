"""What sigma and A became, layer by layer."""
