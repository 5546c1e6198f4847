"""What is done to the store between runs: history is filled in, superseded slices are removed."""
