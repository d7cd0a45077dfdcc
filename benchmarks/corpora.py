"""Every file of our hostile corpus, and of public corpora, examined and compared.

Run: python benchmarks/corpora.py --corpus Pillow=FOLDER --corpus image-rs=FOLDER
         [--markdown docs/results/corpora.md] [--details FILES.jsonl]
The public corpora are not part of this repository. To get them:
    git clone --depth 1 https://github.com/python-pillow/Pillow      FOLDER: Pillow/Tests/images
    git clone --depth 1 https://github.com/image-rs/image            FOLDER: image/tests/images
Needs OpenCV (pip install opencv-python-headless); libvips is used too where it is installed (pip
install "pyvips[binary]"). Nothing in the corpora is run; each file is only decoded.

Each file is examined by the whole pipeline, with a detector that flags the middle of every picture,
so that something is veiled. It counts crashes, files that take too long, errors that are no
messages, released files that hold anything but their pixels, veiled pixels that are not the fill,
and safe pixels that no independent decoder shows. Prints a line of JSON. The exit status is 1 if
one of these was found, pixels with a known cause (``CAUSES``) left out.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import corpus, hidden
from tests.pipeline.detectors import square

from corpora_file import serve
from corpora_page import page, summary
from independent import DECODERS, versions
from measuring import machine, print_result

_SPAWN = multiprocessing.get_context("spawn")
_MEGABYTE = 1 << 20


class Worker:
    """A process that examines one file after the other; a new one takes over where it dies.

    Args:
        timeout: seconds for the examination, and again for the comparison.
        memory: megabytes that the process may take.
    """

    def __init__(self, timeout: float, memory: int) -> None:
        self._timeout, self._memory = timeout, memory
        self._start()

    def _start(self) -> None:
        self._answers, theirs = _SPAWN.Pipe()
        arguments = (self._memory * _MEGABYTE, theirs)
        self._process = _SPAWN.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def examine(self, path: Path) -> dict[str, Any]:
        """What ``corpora_file`` found; ``died`` says which step ended the process, and how."""
        self._answers.send(path)
        found: dict[str, Any] = {}
        for step in ("examination", "comparison"):
            try:
                if not self._answers.poll(self._timeout):
                    found["died"] = f"{step}: more than {self._timeout:g} seconds"
                    break
                found |= self._answers.recv()
            except (EOFError, ConnectionError):
                self._process.join()
                found["died"] = f"{step}: the process ended with status {self._process.exitcode}"
                break
        else:
            return found
        self.stop()
        self._start()
        return found

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._answers.close()


def hostile_files(folder: Path) -> Iterator[Path]:
    """The files that our tests generate: whole, animated, broken, and with a hidden scene."""
    white = corpus.np.full((96, 128, 3), 255, corpus.np.uint8)
    files = {
        **corpus.whole_files(),
        **corpus.animated_files(),
        **corpus.broken_files(),
        **hidden.hidden_scenes(square(image=white.copy()), white),
    }
    for name, data in files.items():
        path = folder / name
        path.write_bytes(data)
        yield path


def examine_all(
    files: list[tuple[str, str, Path]], workers: int, timeout: float, memory: int
) -> list[dict[str, Any]]:
    """One row for each file, given as corpus, name and path."""
    free: SimpleQueue[Worker] = SimpleQueue()
    started = [Worker(timeout, memory) for _ in range(workers)]
    for worker in started:
        free.put(worker)

    def examine(file: tuple[str, str, Path]) -> dict[str, Any]:
        worker = free.get()
        try:
            return {"corpus": file[0], "name": file[1], **worker.examine(file[2])}
        finally:
            free.put(worker)

    with ThreadPoolExecutor(workers) as pool:
        rows = list(pool.map(examine, files))
    for worker in started:
        worker.stop()
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--quick", action="store_true", help="the hostile corpus only")
    parser.add_argument("--markdown", type=Path, help="write the page")
    parser.add_argument("--details", type=Path, help="write a line of JSON for each file")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one file")
    parser.add_argument("--memory", type=int, default=4096, help="megabytes for one file")
    options = parser.parse_args()
    if not DECODERS:
        parser.error("no independent decoder: pip install opencv-python-headless")
    for given in options.corpus:
        if not Path(given.partition("=")[2] or "?").is_dir():
            parser.error(f"--corpus {given}: write NAME=FOLDER, with a folder that exists")
    return options


def main() -> None:
    options = arguments()
    with TemporaryDirectory() as made:
        files = [("hostile", path.name, path) for path in hostile_files(Path(made))]
        for given in [] if options.quick else options.corpus:
            name, _, folder = given.partition("=")
            found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            files += [(name, str(path.relative_to(folder)), path) for path in found]
        rows = examine_all(files, options.workers, options.timeout, options.memory)
    if options.details:
        options.details.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    figures = summary(rows)
    about = {**machine(), "versions": versions()}
    if options.markdown:
        options.markdown.write_text(page(rows, figures, about), "utf-8")
    print_result("corpora", **figures, **about)
    if figures["crashes"] or figures["faults"] or figures["unexplained"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
