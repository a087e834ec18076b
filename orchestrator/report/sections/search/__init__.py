"""What searches tried and chose."""
