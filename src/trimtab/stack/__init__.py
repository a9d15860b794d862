"""Airflow, the MLflow server and the model service on this machine, with embedded stores, under one supervisor."""
