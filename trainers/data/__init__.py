"""Images, splits and loaders."""
