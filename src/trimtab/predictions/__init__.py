"""The prediction log: predictions and outcomes, which the service writes and ingestion joins into batches."""
