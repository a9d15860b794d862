"""How good a model is, what the champion loses against fresh models, and whether one of them may replace it."""
