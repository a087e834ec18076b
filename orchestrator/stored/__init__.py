"""What trials have left in the storage folder, read back."""
