"""Questions to a trained or untrained model, without a loss."""
