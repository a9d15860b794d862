"""What several tests need: stores, processes, data, browsers."""
