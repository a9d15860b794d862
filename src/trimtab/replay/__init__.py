"""Replays a history through retraining policies, with the functions that the loop decides by."""
