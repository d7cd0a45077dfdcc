"""Model weights from files: our own classifiers, torchvision ResNet-50s, Hugging Face models."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from counterveil.classifiers.architectures import build_network
from counterveil.classifiers.preprocessing import InputSpec
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.errors import CounterveilError, ModelError, UsageError
from counterveil.types import ModelInfo

FORMAT = "counterveil.classifier/1"

_TRANSFORMERS_ERRORS = (
    OSError, ValueError, ImportError, RuntimeError, LookupError, TypeError, SafetensorError,
)  # fmt: skip
"""What transformers raises for checkpoints that are missing, broken, or of another kind."""

_CACHE_ADVICE = "connect to the network once so that it is cached, or give a folder"
_ADVICE = (
    ("couldn't connect", _CACHE_ADVICE),
    ("offline mode", _CACHE_ADVICE),
    ("custom code", "code from a hub is never run; use a model that transformers knows"),
    ("gated", "accept its terms on the hub and log in, or give a folder"),
    ("safetensors", "only safetensors weights are read: convert them, or name a REPO@REVISION"),
    ("sentencepiece library", "pip install sentencepiece"),
    ("timm library", "pip install timm"),
    ("unrecognized configuration class", "name a model of the kind that this scheme serves"),
)
"""Part of an error message in lower case, and what to do about it."""


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> TorchClassifier:
    """Load a classifier from ``.safetensors``, or from a state dict in ``.pt`` or ``.pth``.

    A file without our metadata must be a torchvision ResNet-50 whose second output is unsafe.
    Relative paths start in ``folder``; default: the current one.

    Raises:
        ModelError: the file is missing, damaged, or of another architecture.
    """
    return load_file((folder or Path()) / argument, name=f"resnet50:{argument}", device=device)


def load_file(path: Path, *, name: str, device: str = "cpu") -> TorchClassifier:
    """As :func:`load`; ``name`` goes into the classifier's ``ModelInfo``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if path.suffix == ".safetensors":
        return load_bytes(data, name=name, device=device)
    return _classifier(_read_pickle(path), {}, name, data, device)


def load_bytes(data: bytes, *, name: str, device: str = "cpu") -> TorchClassifier:
    """As :func:`load`, from the bytes of a safetensors file."""
    try:
        state = load_safetensors(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{name}: not a readable safetensors file ({error})") from error
    # The library reads metadata from files only. The header: its length in eight bytes, then JSON.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    try:
        metadata = json.loads(header.get("__metadata__", {}).get("counterveil", "{}"))
    except ValueError as error:
        raise ModelError(f"{name}: damaged metadata ({error}); get an intact copy") from error
    return _classifier(state, metadata, name, data, device)


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ModelError(
            f"{path}: not a plain state dict ({type(error).__name__}); only weights are read "
            "from pickles, never code: save model.state_dict(), best as safetensors"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path}: contains no state dict; save model.state_dict()")
    return state


def _classifier(
    state: Mapping[str, Tensor], metadata: Mapping[str, Any], name: str, data: bytes, device: str
) -> TorchClassifier:
    try:
        architecture = metadata.get("architecture", "resnet50")
        module = build_network(architecture, int(metadata.get("classes", 2)))
        input_spec = InputSpec(**metadata["input"]) if "input" in metadata else InputSpec()
        unsafe = tuple(int(output) for output in metadata.get("unsafe", (1,)))
    except (TypeError, ValueError, AttributeError, UsageError) as error:
        raise ModelError(f"{name}: damaged metadata ({error}); get an intact copy") from error
    try:
        module.load_state_dict({key: value.float() for key, value in state.items()})
    except RuntimeError as error:
        raise ModelError(
            f"{name}: the weights do not fit a {architecture} with two outputs: "
            f"{str(error).splitlines()[-1].strip()}"
        ) from error
    return TorchClassifier(
        module.requires_grad_(False),
        info=ModelInfo(name, metadata.get("version", ""), hashlib.sha256(data).hexdigest()),
        unsafe_indices=unsafe,
        input_spec=input_spec,
        device=device,
    )


@dataclass(frozen=True)
class Checkpoint:
    """A Hugging Face model: a local folder, or a repository on the hub.

    All methods raise ``ModelError`` where the checkpoint cannot be found or read.

    Attributes:
        spec: as the user wrote it, for messages and records.
        repo: a folder, or a repository's name on the hub.
        revision: branch, tag or commit on the hub; ``None`` for the default.
    """

    spec: str
    repo: str
    revision: str | None = None

    @classmethod
    def parse(
        cls, scheme: str, argument: str, *, folder: Path | None = None
    ) -> tuple[Checkpoint, str]:
        """The checkpoint of ``REPO[@REVISION]#REST``, and the rest; neither may be empty."""
        repo, _, rest = argument.partition("#")
        if not repo or not rest:
            example = f"{scheme}:REPO_OR_FOLDER#..."
            raise UsageError(f"{scheme}:{argument!r} is incomplete; write {example}")
        return cls.resolve(scheme, repo, spec=f"{scheme}:{argument}", folder=folder), rest

    @classmethod
    def resolve(
        cls, scheme: str, repo: str, *, spec: str = "", folder: Path | None = None
    ) -> Checkpoint:
        """The checkpoint of a folder (relative to ``folder``), or of ``REPO[@REVISION]``."""
        spec = spec or f"{scheme}:{repo}"
        # Folders first: their names may contain an @.
        local = (folder or Path()) / Path(repo).expanduser()
        if local.is_dir():
            return cls(spec, str(local))
        repo, _, revision = repo.partition("@")
        return cls(spec, repo, revision or None)

    def load(self, auto_class: Any, **options: Any) -> Any:
        """Result of ``auto_class.from_pretrained``; code in the checkpoint is never run."""
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # the command line shows its own
        with self.translated_errors():
            return auto_class.from_pretrained(
                self.repo, revision=self.revision, trust_remote_code=False, **options
            )

    def load_model(self, auto_class: Any) -> nn.Module:
        """The network in float32 and eval mode; safetensors must provide every weight."""
        model, info = self.load(
            auto_class, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        missing = sorted([*info["missing_keys"], *map(str, info["mismatched_keys"])])
        if missing:
            raise ModelError(
                f"{self.spec}: the checkpoint lacks {', '.join(missing[:3])}, which would be "
                "random; it was not trained for this use"
            )
        network: nn.Module = model.eval()
        return network

    def info(self) -> ModelInfo:
        """Spec, commit (empty for a folder) and SHA-256 of the weights, shards sorted by name."""
        files, digest = self._weights_files(), hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        # The hub's cache keeps files in snapshots/COMMIT/.
        folder = files[0].parent
        version = folder.name if folder.parent.name == "snapshots" else ""
        return ModelInfo(self.spec, version, digest.hexdigest())

    def _weights_files(self) -> list[Path]:
        single = self._file("model.safetensors")
        if single is not None:
            return [single]
        index = self._file("model.safetensors.index.json")
        if index is None:
            raise ModelError(f"{self.spec}: there is no model.safetensors; convert the weights")
        shards = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        return [file for shard in shards if (file := self._file(shard)) is not None]

    def _file(self, name: str) -> Path | None:
        from transformers.utils import cached_file

        with self.translated_errors():
            path = cached_file(
                self.repo, name, revision=self.revision, _raise_exceptions_for_missing_entries=False
            )
        return None if path is None else Path(path)

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Turn errors of transformers into a :class:`ModelError` that says what to do."""
        try:
            yield
        except CounterveilError:
            raise
        except _TRANSFORMERS_ERRORS as error:
            text = " ".join(str(error).split())
            matches = [advice for part, advice in _ADVICE if part in text.lower()]
            advice = matches[0] if matches else "check the name"
            raise ModelError(f"{self.spec} cannot be loaded; {advice} ({text[:200]})") from error
