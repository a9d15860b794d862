"""A pull request's challenger against the model in Production: what it is compared with, and the comment that says it."""
