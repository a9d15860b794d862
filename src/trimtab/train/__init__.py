"""From labelled batches to a fitted pipeline."""
