"""Batches: their contract, the versioned origin that holds them, and the quarantine for those that break it."""
