"""nsfwjs's networks, converted once and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from counterveil.atomic import write_atomic
from counterveil.classifiers.nsfwjs_archive import PackagedNetwork, read_network
from counterveil.errors import ModelError

FORMAT = "counterveil.nsfwjs/1"
"""Of the converted files; a file of another format is converted anew."""


@dataclass(frozen=True)
class Header:
    """What a converted file says of itself.

    Attributes:
        network: name of the network, such as ``"mobilenet_v2"``.
        version: of the npm package.
        sha256: of the package's archive.
        size: height and width of the network's input, pixels.
        layers: Keras's descriptions of the layers.
    """

    network: str
    version: str
    sha256: str
    size: tuple[int, int]
    layers: list[dict[str, Any]]


def cache_folder() -> Path:
    """The folder of the converted networks; it need not exist."""
    return user_cache_path("counterveil") / "nsfwjs"


def cached_files() -> list[Path]:
    """The converted networks, sorted."""
    return sorted(cache_folder().glob("*/*.safetensors"))


def load_network(file: Path, network: str) -> tuple[Header, dict[str, np.ndarray]]:
    """A network of the archive ``file``: its header, and arrays by Keras name.

    Raises:
        ModelError: the archive cannot be read, or holds no such network.
    """
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(
            f"{file} cannot be read ({reason}); get it with npm pack nsfwjs"
        ) from error
    path = cache_folder() / digest[:16] / f"{network}.safetensors"
    header = read_header(path)
    if header is None or header.sha256 != digest:
        converted = read_network(file, network)
        header = Header(network, converted.version, digest, converted.size, converted.layers)
        with suppress(OSError):  # without a cache, the next start converts again
            _write(path, header, converted)
        return header, converted.weights
    return header, load_file(path)


def read_header(path: Path) -> Header | None:
    """The header of a converted file; ``None`` where there is none of this format."""
    try:
        with safe_open(path, "np") as opened:
            metadata = json.loads(opened.metadata()[FORMAT])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return Header(**{**metadata, "size": tuple(metadata["size"])})


def _write(path: Path, header: Header, converted: PackagedNetwork) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path.with_name("LICENSE"), converted.licence.encode())
    write_atomic(path, save(converted.weights, {FORMAT: json.dumps(asdict(header))}))
