"""`make check-deploy`: every checker of what is delivered that needs neither network nor cluster."""

import sys
import tempfile
from pathlib import Path

from tests.deploy.checkers import CHECKERS


def main() -> int:
    """Run all, say what each found, and fail when one found anything."""
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for title, check in CHECKERS.items():
            found = check(Path(folder))
            print(
                f"{title}: {'ok' if not found else f'{len(found)} findings'}", *found, sep="\n  ", flush=True
            )
            bad += len(found)
    return 1 if bad else 0


sys.exit(main())
