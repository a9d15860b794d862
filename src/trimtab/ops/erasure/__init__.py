"""Erase rows from all stores."""
