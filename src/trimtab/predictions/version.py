"""The version of the prediction log's layout, in whatever store."""

from trimtab.errors import Unfit

VERSION = 2
"""1, which was in SQL only, had `probability` for `answer`, and no marker."""


def unfit(shown: str, have: object) -> Unfit:
    """Say that a log is of another version."""
    return Unfit(
        f"The prediction log at {shown} is of version {have}, this trimtab knows {VERSION}",
        "Install the trimtab that wrote it, or name another log in TRIMTAB_PREDICTION_LOG_URL.",
    )
