"""What both arms say of a few images."""
