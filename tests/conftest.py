"""What holds for every test."""

import os

from hypothesis import settings

# Machines are shared: how long an example takes says nothing of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# Test processes that each had a thread for every core would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
