"""Compare the model of a pull request with the one in Production, and comment on the pull request."""
