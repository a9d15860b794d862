"""What changed in the data, and in what the labels mean: measured here, decided by `policy`."""
