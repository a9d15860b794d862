"""The entry points of the MLflow Project, which run in a checkout of one commit."""
