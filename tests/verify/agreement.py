"""`python -m tests.verify.agreement`: the replay of the demo's history decides as the demo did under Airflow."""

import os
import sys
import tempfile
from pathlib import Path

from tests.support.agreement import differences
from trimtab.loop.loop import open_loop


def main() -> int:
    """Compare the demo in `TRIMTAB_HOME` with its replay; the exit status is 1 if they differ."""
    with tempfile.TemporaryDirectory() as folder:
        turns, different = differences(open_loop(), Path(folder), jobs=os.cpu_count() or 1)
    for turn in turns:
        if turn.action:
            print(f"{turn.batch}: {turn.action} {turn.model} ({turn.why})")
    print("\n".join(different) or f"The replay equals the demo on {len(turns)} batches.")
    return int(bool(different) or not turns)


if __name__ == "__main__":
    sys.exit(main())
