"""Keep what the loop has made: look after the stores and what they hold."""
