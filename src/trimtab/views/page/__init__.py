"""The Model health page."""
