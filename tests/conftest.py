"""What every test starts from."""

from __future__ import annotations

import os

# Workers of pytest-xdist would each start a thread a core.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
