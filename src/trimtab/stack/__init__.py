"""Airflow, the MLflow server and the model service on this machine, on embedded defaults, under one supervisor."""
