"""`make demo`: plays a year of flights through the whole loop."""

import argparse
import logging
import os
import sys
from pathlib import Path

from trimtab import redaction
from trimtab.errors import TrimtabError


def main() -> int:
    """Run the demo; the exit status is 1 after an error that trimtab explains.

    The demo stops whatever it started. Its home stays for inspection until the next fresh start.
    """
    parser = argparse.ArgumentParser(prog="python -m examples.flights", description=__doc__)
    parser.add_argument("--weeks", type=int, help="number of weeks to play (default: all 53)")
    parser.add_argument(
        "--withhold",
        type=int,
        default=0,
        metavar="N",
        help="deliver the labels of the first N weeks after the first champion late, all at once",
    )
    parser.add_argument(
        "--deployed",
        action="store_true",
        help="use the running system at TRIMTAB_AIRFLOW_URL and TRIMTAB_SERVICE_URL",
    )
    options = parser.parse_args()
    os.environ.setdefault("DO_NOT_TRACK", "1")
    redaction.install()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from examples.flights import demo, deployed

    try:
        if options.deployed:
            return deployed.play(options.weeks, Path())
        return demo.play(options.weeks, Path(), options.withhold)
    except TrimtabError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
