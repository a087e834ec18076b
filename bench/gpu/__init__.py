"""What waits for a GPU: `bench/gpu/run.sh`."""
