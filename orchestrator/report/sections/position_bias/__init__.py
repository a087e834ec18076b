"""What layers have learned about position."""
