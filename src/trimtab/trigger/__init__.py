"""Requests for a retraining, and the arbiter that answers them."""
