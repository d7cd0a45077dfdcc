"""What every test starts from."""

from __future__ import annotations

import os

from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401 - the hook names it

# Workers of pytest-xdist would each start a thread a core.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")

# Shapes are declared in signatures and checked here alone: in the rooms that compute. Not where
# callers' mistakes are answered in words, and not where numba compiles functions as they are.
CHECKED = (
    "search", "masking.union", "masking.candidates", "report", "pipeline",
    "lab.benchmarks.metrics", "images.frame", "segmentation.regions",
)  # fmt: skip
install_import_hook([f"counterveil.{room}" for room in CHECKED], "tests.shapes.checked")
