"""The prediction log: what the service answered, and what became of it; the service writes it, steps read it."""
