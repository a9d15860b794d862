"""A year of flights from New York, and the demo that plays weeks of it through the loop."""
