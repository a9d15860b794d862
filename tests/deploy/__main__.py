"""`make check-deploy`: every checker of what is delivered that needs neither network nor cluster."""

import sys
import tempfile
from pathlib import Path

from tests.deploy.checkers import CHECKERS, report

with tempfile.TemporaryDirectory() as scratch:
    sys.exit(1 if report(CHECKERS, Path(scratch)) else 0)
