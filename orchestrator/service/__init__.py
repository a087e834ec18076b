"""What a service that stays alive does: the use cases behind the API, and the reconciler that keeps jobs running."""
