"""Networks and their attention bias."""
