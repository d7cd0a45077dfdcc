"""Examines many files, in this process or in several."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from itertools import islice
from multiprocessing import active_children, connection, get_context, parent_process
from pathlib import Path
from typing import Protocol

from counterveil.config import Config
from counterveil.errors import MachineError
from counterveil.inputs import Input
from counterveil.outputs import SavedExamination, save
from counterveil.pipeline import Pipeline
from counterveil.profiles import load
from counterveil.types import ModelInfo

_WAITING = 2
"""Files that wait for each worker, so that none is idle."""


class Examiner(Protocol):
    """Examines files and writes their results into one folder."""

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models that it uses."""
        ...

    @property
    def config(self) -> Config:
        """As it was loaded: without optional categories whose extra is missing."""
        ...

    def __call__(self, inputs: Iterable[Input]) -> Iterator[SavedExamination]:
        """Examine files, and yield each when its files are written.

        Raises:
            MachineError: a worker process was ended.
        """
        ...


@contextmanager
def open_examiner(config: Config, folder: Path, *, workers: int = 1) -> Iterator[Examiner]:
    """Load the models and examine files with them.

    Args:
        config: of the pipeline.
        folder: for the results.
        workers: number of processes; each loads the models. With several, results come in the
            order in which they are done.

    Raises:
        CounterveilError: as :func:`counterveil.load`.
    """
    if workers == 1:
        yield _Serial(load(config), folder)
        return
    with _one_thread_each(workers), _Processes(config, folder, workers) as processes:
        yield processes


class _Serial:
    """Examines one file after the other."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self._pipeline = pipeline
        self._folder = folder

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return self._pipeline.models

    @property
    def config(self) -> Config:
        return self._pipeline.config

    def __call__(self, inputs: Iterable[Input]) -> Iterator[SavedExamination]:
        for item in inputs:
            yield _examine(self._pipeline, item, self._folder)


class _Processes:
    """Hands files to worker processes."""

    def __init__(self, config: Config, folder: Path, workers: int) -> None:
        self._workers = workers
        self._others = active_children()
        # Spawned, not forked: the threads of torch and OpenMP do not survive a fork.
        self._pool = ProcessPoolExecutor(
            workers,
            mp_context=get_context("spawn"),
            initializer=_start_worker,
            initargs=(config, folder),
        )
        # Loading is a task, not part of the start, so that its error reaches the caller.
        self.models: tuple[ModelInfo, ...] = ()
        self.config = config

    def __enter__(self) -> _Processes:
        try:
            with _ended_workers():
                self.config, self.models = self._pool.submit(_loaded_by_worker).result()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():  # a worker ends its file first, which may take minutes
            if process not in self._others:
                process.terminate()

    def __call__(self, inputs: Iterable[Input]) -> Iterator[SavedExamination]:
        left = iter(inputs)
        running: set[Future[SavedExamination]] = set()
        with _ended_workers():
            while True:
                for item in islice(left, self._workers * _WAITING - len(running)):
                    running.add(self._pool.submit(_examine_in_worker, item))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()


def _examine(pipeline: Pipeline, item: Input, folder: Path) -> SavedExamination:
    return save(pipeline.examine(item.path, name=item.name, output_name=item.output_name), folder)


_WORKER: dict[str, tuple[Config, Path]] = {}
"""What a worker process was started with."""


def _start_worker(config: Config, folder: Path) -> None:
    if not sys.warnoptions:  # as in the command line
        warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _WORKER["task"] = (config, folder)


def _end_with_parent() -> None:
    """End this worker when its parent is killed: nobody would stop it otherwise."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


@cache
def _worker_pipeline() -> Pipeline:
    return load(_WORKER["task"][0])


def _loaded_by_worker() -> tuple[Config, tuple[ModelInfo, ...]]:
    return _worker_pipeline().config, _worker_pipeline().models


def _examine_in_worker(item: Input) -> SavedExamination:
    return _examine(_worker_pipeline(), item, _WORKER["task"][1])


@contextmanager
def _ended_workers() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise MachineError(
            "a worker process was ended, often because memory ran out; use fewer --workers"
        ) from error


@contextmanager
def _one_thread_each(workers: int) -> Iterator[None]:
    """Share the cores among the workers; threads of several processes would spin for them."""
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = before or str(max(1, (os.cpu_count() or 1) // workers))
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
