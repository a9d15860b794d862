"""The model service: predictions with the champion, ground truth, and a log of both."""
