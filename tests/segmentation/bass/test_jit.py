"""Kernels are compiled once and read from disk afterwards."""

import ast
import json
import os
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from counterveil.segmentation.bass import Bass
from tests.segmentation.checking import noise

FOLDER = Path(import_module("counterveil.segmentation.bass").__file__).parent
MODULES = sorted(
    f"counterveil.segmentation.bass.{path.stem}"
    for path in FOLDER.glob("*.py")
    if path.stem != "__init__"
)
PROBE = """
import json, numpy as np
from counterveil.segmentation.bass import initialisation
initialisation.hexagonal_grid(9, 9, 3.0)
stats = initialisation._nearest_centre.stats
hits, misses = sum(stats.cache_hits.values()), sum(stats.cache_misses.values())
print(json.dumps([stats.cache_path, hits, misses]))
"""


def kernels():
    for module in map(import_module, MODULES):
        for name, value in vars(module).items():
            if hasattr(value, "signatures") and value.__module__ == module.__name__:
                yield f"{module.__name__}.{name}", value


def run_probe(cache):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_a_second_process_reads_the_compiled_code_of_the_first(tmp_path):
    path, hits, misses = run_probe(tmp_path)
    assert (hits, misses) == (0, 1)
    assert Path(path).is_relative_to(tmp_path)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nb*")}
    assert kept
    assert run_probe(tmp_path)[1:] == [1, 0]
    assert kept == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nb*")}


def test_every_kernel_is_kept_on_disk_and_compiled_for_one_signature():
    guidance = np.ones((40, 30), dtype=np.float32)
    read_only = noise(40, 30)
    read_only.flags.writeable = False
    rng = np.random.default_rng(0)
    Bass()(noise(40, 30))
    Bass(size=4, downscale=3)(read_only, guidance=guidance)
    Bass(count=9)(noise(60, 60)[::2, ::-2], guidance=guidance.T[:30, :30].repeat(1, axis=0))
    Bass(count=200, size=30)(noise(33, 1))
    Bass(acceptance="hastings", size=5)(noise(30, 40), rng=rng)
    found = dict(kernels())
    assert len(found) >= 8
    for name, kernel in found.items():
        assert kernel._cache is not None and kernel._cache.cache_path, name
        assert len(kernel.signatures) <= 1, f"{name} was compiled for {kernel.signatures}"


@pytest.mark.parametrize("name", MODULES)
def test_a_kernel_calls_no_kernel_of_another_file(name):
    """numba checks only the file of the caller to see whether cached code is out of date."""
    module = import_module(name)
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    foreign = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("counterveil")
        for alias in node.names
    }
    for node in tree.body:
        decorators = [d.id for d in getattr(node, "decorator_list", []) if isinstance(d, ast.Name)]
        if "cached_njit" in decorators:
            called = {
                call.func.id
                for call in ast.walk(node)
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
            }
            assert not called & foreign, f"{node.name} calls {called & foreign}"


def test_without_a_writable_folder_it_still_runs(monkeypatch):
    from numba.core import caching

    from counterveil.segmentation.bass.model import cached_njit

    monkeypatch.setattr(caching.FunctionCache._impl_class, "_locator_classes", [])

    def double(value):
        return 2 * value

    assert cached_njit(double)(21) == 42


def test_threads_do_not_disturb_each_other():
    image = noise(80, 80)
    expected = Bass(count=20)(image)
    found = [None] * 4

    def work(k):
        found[k] = Bass(count=20)(image)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(labels, expected) for labels in found)
