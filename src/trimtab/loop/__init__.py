"""The tasks of the DAGs, and the orders of people."""
