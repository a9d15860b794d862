"""The Model health page: what it shows, its plots, its HTML. Airflow serves it; nothing here knows Airflow."""
