"""NudeNet's detector as a black box that scores: real photographs, offline (extra ``nudenet``)."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from counterveil.errors import MissingExtraError, ModelError, UsageError
from counterveil.types import Images, ModelInfo, Scores

SIDE = 320
"""Of the network's input, pixels."""

DECISION = 0.25
"""Confidence from which the package reports a box: it drops candidates below 0.2, then its
non-maximum suppression drops those that do not exceed 0.25."""

_OVERLAP = 0.45
"""Intersection over union from which two boxes are one object, as in the package."""


class NudeNet:
    """P(unsafe) from the most confident box of the chosen labels.

    The raw confidence ``c`` is used, not cut off, so that a search sees progress, and mapped by
    ``p = c (1 - d) / (c (1 - d) + d (1 - c))``: monotone, 0 to 0, 1 to 1, and the package's own
    decision ``d = 0.25`` to 0.5. Further objects, found by non-maximum suppression, raise the
    score but never move it across 0.5: ``P = 1 - (1 - p_1) prod_i>1 (1 - max(0, 2 p_i - 1))``,
    so that veiling one face of two is progress too.

    It differs from the package in three ways, each so that nothing unsafe is passed over. A
    label counts even where another one is likelier for the same box. Large images are shrunk
    by averaging, so that every pixel has a say, where the package samples some of them. Colours
    reach the network as RGB, as it was trained; the package does so for RGB arrays, but swaps
    red and blue for the files that it reads itself.

    Args:
        labels: names of the detector's classes that mean unsafe.
        device: ``cpu``, or ``cuda`` where onnxruntime was built for it.
        threads: most threads of one forward; ``None`` leaves it to onnxruntime.
        batch: most images in one forward.

    Raises:
        MissingExtraError: nudenet or onnxruntime is not installed.
        UsageError: a label is unknown.
        ModelError: the detector cannot be loaded.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        device: str = "cpu",
        threads: int | None = None,
        batch: int = 16,
    ) -> None:
        self._onnx = _extra("onnxruntime")
        self._cv2 = _extra("cv2")
        self._file = _weights()
        self._session = _session(self._onnx, self._file, device, threads)
        self.batch = batch
        self.labels = tuple(_known(self._session))
        self._chosen = _indices(labels, self.labels)
        self._spec = "nudenet:" + "+".join(self.labels[i] for i in self._chosen)

    @cached_property
    def info(self) -> ModelInfo:
        """Version of the package, hash of the network's file."""
        digest = hashlib.sha256(self._file.read_bytes()).hexdigest()
        return ModelInfo(self._spec, importlib.metadata.version("nudenet"), digest)

    def score(self, images: Images) -> Scores:
        """P(unsafe) of each image, in ``[0, 1]``."""
        starts = range(0, len(images), self.batch)
        parts = [self._forward(images[start : start + self.batch]) for start in starts]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _forward(self, images: Images) -> Scores:
        pixels = np.stack([self._letterbox(image) for image in images])
        name = self._session.get_inputs()[0].name
        try:
            (output,) = self._session.run(None, {name: pixels})  # (B, 4 + classes, anchors)
        except _errors(self._onnx) as error:
            raise ModelError(f"{self._spec} could not be run: {error}") from error
        boxes = output[:, :4].transpose(0, 2, 1)  # (B, anchors, 4), centre x, y, width, height
        confidences = output[:, [4 + i for i in self._chosen]].max(axis=1)  # (B, anchors)
        return np.array([self._one(b, c) for b, c in zip(boxes, confidences, strict=True)])

    def _letterbox(self, image: Any) -> Float32[np.ndarray, "3 side side"]:
        """Shrunk or enlarged to fit, at the top left of a black square, as the package does."""
        height, width = image.shape[:2]
        scale = SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        how = self._cv2.INTER_AREA if scale < 1 else self._cv2.INTER_LINEAR
        square = np.zeros((SIDE, SIDE, 3), np.uint8)
        square[: size[1], : size[0]] = self._cv2.resize(
            np.ascontiguousarray(image), size, interpolation=how
        )
        return square.transpose(2, 0, 1).astype(np.float32) / 255

    def _one(self, boxes: Any, confidences: Any) -> float:
        sure = np.flatnonzero(confidences > DECISION)
        if not len(sure):
            return float(calibrate(confidences.max()))
        corners = boxes[sure].astype(np.float64)
        corners[:, :2] -= corners[:, 2:] / 2
        # Boxes of no overlap are distinct objects; the most confident of them comes first.
        kept = self._cv2.dnn.NMSBoxes(
            corners.tolist(), confidences[sure].tolist(), DECISION, _OVERLAP
        )
        first, *others = calibrate(confidences[sure][np.asarray(kept).ravel()])
        return float(1 - (1 - first) * np.prod([1 - max(0.0, 2 * p - 1) for p in others]))


def load(argument: str, *, device: str = "cpu") -> NudeNet:
    """The detector for ``LABEL+LABEL``, such as ``FACE_FEMALE+FACE_MALE``."""
    return NudeNet(tuple(argument.split("+")), device=device)


def calibrate(confidence: Any) -> Float64[np.ndarray, "..."]:
    """Confidences as probabilities: the package's decision becomes 0.5."""
    confidence = np.clip(np.asarray(confidence, np.float64), 0, 1)
    unsafe = confidence * (1 - DECISION)
    probability: np.ndarray = unsafe / (unsafe + DECISION * (1 - confidence))
    return probability


def _extra(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"nudenet classifiers need {name}: pip install 'counterveil[nudenet]'"
        ) from error


def _weights() -> Path:
    # Only the file is needed: importing the package would load it a second time.
    spec = importlib.util.find_spec("nudenet")
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            "nudenet classifiers need nudenet: pip install 'counterveil[nudenet]'"
        )
    return Path(spec.origin).parent / "320n.onnx"


def _session(onnx: ModuleType, file: Path, device: str, threads: int | None) -> Any:
    options = onnx.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(
        device.partition(":")[0]
    )
    if provider not in onnx.get_available_providers():
        raise ModelError(
            f"onnxruntime cannot run on {device!r} here; use 'cpu', or install onnxruntime-gpu"
        )
    try:
        return onnx.InferenceSession(str(file), options, providers=[provider])
    except _errors(onnx) as error:
        raise ModelError(f"{file.name} could not be loaded: {error}") from error


def _errors(onnx: ModuleType) -> tuple[type[Exception], ...]:
    """Everything that onnxruntime raises on its own."""
    state = vars(onnx.capi.onnxruntime_pybind11_state).values()
    return tuple(e for e in state if isinstance(e, type) and issubclass(e, Exception))


def _known(session: Any) -> list[str]:
    """The detector's labels, by index, from its own file."""
    names = ast.literal_eval(session.get_modelmeta().custom_metadata_map["names"])
    return [names[index] for index in range(len(names))]


def _indices(labels: tuple[str, ...], known: tuple[str, ...]) -> list[int]:
    wanted = [label.strip().upper() for label in labels]
    for label in wanted:
        if label not in known:
            raise UsageError(f"nudenet has no label {label!r}; it knows {', '.join(sorted(known))}")
    return sorted({known.index(label) for label in wanted})
