"""Real data to play the loop with, and the player itself; nothing else imports this package."""
