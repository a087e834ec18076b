"""Who proposes params, and over what."""
