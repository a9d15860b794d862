"""Tests of what looks after the stores."""
