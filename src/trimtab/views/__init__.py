"""What people and Prometheus read of the loop."""
