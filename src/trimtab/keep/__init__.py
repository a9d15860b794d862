"""Keeps the five stores: backup, restore, and what may be collected."""
