"""TensorBoard as a tracker: event files in a folder, one per run."""
