"""A year of flights from New York, and the demo that plays it through the loop."""
