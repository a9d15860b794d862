"""The origin: parameters and data versioned by git and DVC."""
