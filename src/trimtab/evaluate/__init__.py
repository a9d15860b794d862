"""How good a model is, and whether a challenger is better than the champion."""
