"""The npm package nsfwjs as data: its JavaScript is read, never run."""

from __future__ import annotations

import base64
import binascii
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from counterveil.errors import ModelError

MOST_BYTES = 64 * 2**20
"""Most bytes of one file in the archive, unpacked."""

_SHARD = re.compile(r'\.exports="([A-Za-z0-9+/=]*)"')
_NOT_JSON = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")
    | (?P<flag>![01])
    | (?P<before>[{,]) (?P<key>[A-Za-z_$][\w$]*) :
    | (?<![\w.]) \. (?=\d)""",
    re.VERBOSE,
)
"""What minified literals write otherwise than JSON, and strings, which stay as they are."""


@dataclass(frozen=True, eq=False)
class PackagedNetwork:
    """A Keras network of the package.

    Attributes:
        layers: descriptions of the layers, as Keras writes them.
        size: height and width of the input, pixels.
        weights: float32 arrays by Keras name.
        version: of the package.
        licence: the licence's text.
    """

    layers: list[dict[str, Any]]
    size: tuple[int, int]
    weights: dict[str, np.ndarray]
    version: str
    licence: str


def read_network(file: Path, network: str) -> PackagedNetwork:
    """Read one network of a ``.tgz`` made by ``npm pack nsfwjs``.

    Raises:
        ModelError: the file cannot be read, or is not laid out as nsfwjs 4 is.
    """
    folder = f"package/dist/models/{network}/"
    try:
        members = _read_members(file, folder)
        model = _literal(members[f"{folder}model.min.js"].decode())
        layers = model["modelTopology"]["model_config"]["config"]["layers"]
        _, height, width, _ = layers[0]["config"]["batch_input_shape"]
        return PackagedNetwork(
            layers=layers,
            size=(int(height), int(width)),
            weights=dict(_weights(model["weightsManifest"], members, folder)),
            version=str(json.loads(members["package/package.json"])["version"]),
            licence=members["package/LICENSE"].decode(),
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(
            f"{file} cannot be read ({reason}); get it with npm pack nsfwjs"
        ) from error
    except (
        tarfile.TarError, zlib.error, EOFError, LookupError, TypeError, ValueError, RecursionError,
    ) as error:  # fmt: skip
        raise ModelError(
            f"{file} does not hold nsfwjs's {network} as version 4.4.0 does; get it with "
            f"npm pack nsfwjs@4.4.0 ({type(error).__name__}: {str(error)[:100]})"
        ) from error


def _read_members(file: Path, folder: str) -> dict[str, bytes]:
    """The files of the archive that are needed, by name; nothing is unpacked to the disk."""
    members = {}
    with tarfile.open(file, "r:gz") as archive:
        for member in archive:
            wanted = member.name in ("package/LICENSE", "package/package.json")
            if not wanted and not member.name.startswith(folder):
                continue
            stream = archive.extractfile(member)
            if stream is None:  # a folder
                continue
            data = stream.read(MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                raise ValueError(f"{member.name} is larger than {MOST_BYTES} bytes")
            members[member.name] = data
    return members


def _literal(javascript: str) -> Any:
    """The object that a minified module exports, written as a literal."""
    start = javascript.index(".exports={") + len(".exports=")
    text = _NOT_JSON.sub(_as_json, javascript[start:])
    return json.JSONDecoder().raw_decode(text)[0]


def _as_json(match: re.Match[str]) -> str:
    if match["string"]:
        return match["string"]
    if match["flag"]:
        return "true" if match["flag"] == "!0" else "false"
    if match["key"]:
        return f'{match["before"]}"{match["key"]}":'
    return "0."  # .5 is 0.5


def _weights(
    manifest: Any, members: dict[str, bytes], folder: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays by name. Quantised ones hold ``q``; the weight is ``q * scale + min``."""
    for group in manifest:
        data = b"".join(_shard(members[f"{folder}{path}.min.js"]) for path in group["paths"])
        offset = 0
        for entry in group["weights"]:
            stored = entry.get("quantization")
            dtype = np.dtype(stored["dtype"] if stored else entry["dtype"]).newbyteorder("<")
            count = int(np.prod(entry["shape"]))
            array = np.frombuffer(data, dtype, count, offset).reshape(entry["shape"])
            offset += count * dtype.itemsize
            if stored:
                array = array * float(stored["scale"]) + float(stored["min"])  # float64
            yield entry["name"], array.astype(np.float32)


def _shard(javascript: bytes) -> bytes:
    match = _SHARD.search(javascript.decode("ascii"))
    if match is None:
        raise ValueError("a shard of weights exports no base64 text")
    try:
        return base64.b64decode(match[1], validate=True)
    except binascii.Error as error:
        raise ValueError(f"a shard of weights is damaged: {error}") from error
