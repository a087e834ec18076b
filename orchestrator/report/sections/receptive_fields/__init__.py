"""What a token sees."""
