"""Checkpoints of Hugging Face models, local or from the hub: loaded safely, errors in our words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from counterveil.errors import CounterveilError, ModelError, UsageError
from counterveil.types import ModelInfo

_FOREIGN = (
    OSError,
    ValueError,
    ImportError,
    RuntimeError,
    LookupError,
    TypeError,
    SafetensorError,
)
"""What transformers raises for checkpoints that are absent, broken, or not what was asked for."""

_HINTS = (
    ("couldn't connect", "connect to the network once so that it is cached, or give a folder"),
    ("offline mode", "connect to the network once so that it is cached, or give a folder"),
    ("custom code", "code from a hub is never run; use a model that transformers knows"),
    ("gated", "accept its terms on the hub and log in, or give a folder"),
    ("safetensors", "only safetensors weights are read: convert them, or name a REPO@REVISION"),
    ("sentencepiece library", "pip install sentencepiece"),
    ("timm library", "pip install timm"),
    ("unrecognized configuration class", "name a model of the kind that this scheme serves"),
)


@dataclass(frozen=True)
class Checkpoint:
    """Where a model's files are.

    Attributes:
        spec: as the user wrote it, for messages and records.
        repo: a folder, or a repository's name on the hub.
        revision: branch, tag or commit on the hub; ``None`` takes the default.
    """

    spec: str
    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, scheme: str, argument: str) -> tuple[Checkpoint, str]:
        """The checkpoint of ``REPO[@REVISION]#REST``, and the rest.

        Raises:
            UsageError: there is no repository or no rest.
        """
        repo, _, rest = argument.partition("#")
        if not repo or not rest:
            raise UsageError(f"{scheme}:{argument!r} must read {scheme}:REPO_OR_FOLDER#...")
        return cls.of(scheme, repo, spec=f"{scheme}:{argument}"), rest

    @classmethod
    def of(cls, scheme: str, repo: str, *, spec: str = "") -> Checkpoint:
        """The checkpoint of a folder or of ``REPO[@REVISION]``."""
        spec = spec or f"{scheme}:{repo}"
        if Path(repo).expanduser().is_dir():
            return cls(spec, str(Path(repo).expanduser()))
        repo, _, revision = repo.partition("@")
        return cls(spec, repo, revision or None)

    def load(self, auto: Any, **options: Any) -> Any:
        """What ``auto.from_pretrained`` gives, never running code from the checkpoint.

        Raises:
            ModelError: it cannot be found or read; the message says what to do.
        """
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # a bar a checkpoint, on a command line that has one of its own
        with self.translated():
            return auto.from_pretrained(
                self.repo, revision=self.revision, trust_remote_code=False, **options
            )

    def model(self, auto: Any) -> nn.Module:
        """The network, in float32, from safetensors weights that fill all of it.

        Raises:
            ModelError: as :meth:`load`, or some weights are missing and would stay random.
        """
        import torch

        model, found = self.load(
            auto, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        absent = sorted([*found["missing_keys"], *map(str, found["mismatched_keys"])])
        if absent:
            raise ModelError(
                f"{self.spec}: the checkpoint lacks {', '.join(absent[:3])}, which would be "
                "random; it was not trained for this use"
            )
        network: nn.Module = model.eval()
        return network

    def info(self) -> ModelInfo:
        """Commit (empty for a folder) and hash of the weights, shards in order of name."""
        files = self._weights()
        digest = hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        above = files[0].parent
        version = above.name if above.parent.name == "snapshots" else ""
        return ModelInfo(self.spec, version, digest.hexdigest())

    def _weights(self) -> list[Path]:
        single = self._file("model.safetensors")
        if single is not None:
            return [single]
        index = self._file("model.safetensors.index.json")
        if index is None:
            raise ModelError(f"{self.spec}: no model.safetensors to hash")
        shards = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        files = [self._file(shard) for shard in shards]
        return [file for file in files if file is not None]

    def _file(self, name: str) -> Path | None:
        from transformers.utils import cached_file

        with self.translated():
            path = cached_file(
                self.repo,
                name,
                revision=self.revision,
                _raise_exceptions_for_missing_entries=False,
            )
        return None if path is None else Path(path)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Foreign errors become a :class:`ModelError` that says what to do."""
        try:
            yield
        except CounterveilError:
            raise
        except _FOREIGN as error:
            said = " ".join(str(error).split())
            hints = [hint for sign, hint in _HINTS if sign in said.lower()]
            advice = hints[0] if hints else "check the name"
            raise ModelError(f"{self.spec} cannot be loaded; {advice} ({said[:200]})") from error
