"""trimtab: the retraining loop under a tabular model in production."""

__version__ = "0.1.0"
