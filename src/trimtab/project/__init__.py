"""The entry points of the MLflow Project, run in a checkout of one commit."""
