"""MLflow and the ledger: versions, stages, transitions, and how a model is loaded."""
