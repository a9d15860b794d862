"""Fits a pipeline on labelled batches."""
