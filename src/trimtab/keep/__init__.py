"""Keeps what the loop has made: backup and restore of the five stores, and a look at all that it needs."""
