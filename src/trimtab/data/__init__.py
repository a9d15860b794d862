"""Batches: the data contract, the landing folder, and quarantine for what breaks the contract."""
