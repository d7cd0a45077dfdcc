"""NudeNet's detector as a black-box classifier of photographs, offline (extra ``nudenet``)."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from counterveil.classifiers.detections import combined_score
from counterveil.classifiers.onnx_sessions import onnx_errors, open_session
from counterveil.errors import MissingExtraError, ModelError, UsageError
from counterveil.registry import import_extra
from counterveil.types import Box, Image, Images, ModelInfo, Scores

_USER, _INSTALL = "nudenet classifiers", "pip install 'counterveil[nudenet]'"

INPUT_SIZE = 320
"""Side of the network's square input, pixels."""

DECISION_CONFIDENCE = 0.25
"""Confidence above which the package reports a box."""

_NMS_IOU = 0.45
"""Intersection over union from which two boxes are one object, as in the package."""


class NudeNetClassifier:
    """P(unsafe) from the confidences of the boxes with the chosen labels.

    The best box's confidence ``c`` becomes ``p = c (1 - d) / (c (1 - d) + d (1 - c))``, which
    is monotone and maps the package's decision ``d = 0.25`` to 0.5. Further objects, found by
    non-maximum suppression, raise the score without moving it across 0.5:
    ``P = 1 - (1 - p_1) prod_i>1 (1 - max(0, 2 p_i - 1))``. So a search sees progress below the
    decision, and when one face of two is veiled.

    It differs from the package in three ways, each to miss less. A label counts even where
    another one is more confident for the same box. Large images are shrunk by averaging, not by
    sampling. The network always gets RGB, as in training; the package swaps red and blue of
    files that it reads itself.

    Args:
        labels: names of the detector's unsafe classes, ignoring case.
        device: ``cpu``, or ``cuda`` where onnxruntime was built for it.
        batch_size: maximum images in one forward.
    """

    def __init__(
        self, labels: tuple[str, ...], *, device: str = "cpu", batch_size: int = 16
    ) -> None:
        self._onnx = import_extra("onnxruntime", user=_USER, install=_INSTALL)
        self._cv2 = import_extra("cv2", user=_USER, install=_INSTALL)
        self._file = _weights_file()
        self._session = open_session(self._onnx, self._file, device, name=self._file.name)
        self.batch_size = batch_size
        self.labels = tuple(_label_names(self._session))
        self._indices = _label_indices(labels, self.labels)
        self._spec = "nudenet:" + "+".join(self.labels[i] for i in self._indices)

    @cached_property
    def info(self) -> ModelInfo:
        """Spec, version of the package, and hash of the network's file."""
        digest = hashlib.sha256(self._file.read_bytes()).hexdigest()
        return ModelInfo(self._spec, importlib.metadata.version("nudenet"), digest)

    def score(self, images: Images) -> Scores:
        """P(unsafe) of each image, in ``[0, 1]``."""
        starts = range(0, len(images), self.batch_size)
        parts = [self._forward(images[start : start + self.batch_size]) for start in starts]
        return np.concatenate(parts) if parts else np.zeros(0)

    def boxes(self, image: Image) -> tuple[Box, ...]:
        """Boxes of the chosen labels, also those a little below the package's confidence.

        A weak box may become strong once a stronger one beside it is veiled.
        """
        output = self._run(np.stack([self._letterbox(image)]))
        found = output[0, :4].T.astype(np.float64)
        chosen = output[0, [4 + i for i in self._indices]]  # (labels, anchors)
        confidences = chosen.max(axis=0)
        corners = np.concatenate([found[:, :2] - found[:, 2:] / 2, found[:, 2:]], axis=1)
        kept = self._cv2.dnn.NMSBoxes(
            corners.tolist(), confidences.tolist(), DECISION_CONFIDENCE / 2, _NMS_IOU
        )
        scale = INPUT_SIZE / max(image.shape[:2])
        boxes = []
        for index in np.asarray(kept, int).ravel():  # the most confident first
            left, top, width, height = corners[index] / scale
            box = Box(
                max(0, int(left)),
                max(0, int(top)),
                min(image.shape[1], int(np.ceil(left + width))),
                min(image.shape[0], int(np.ceil(top + height))),
                float(calibrate(confidences[index])),
                self.labels[self._indices[int(chosen[:, index].argmax())]],
            )
            if box.left < box.right and box.top < box.bottom:  # not in the black rest
                boxes.append(box)
        return tuple(boxes)

    def _forward(self, images: Images) -> Scores:
        output = self._run(np.stack([self._letterbox(image) for image in images]))
        boxes = output[:, :4].transpose(0, 2, 1)  # (B, anchors, 4), centre x, y, width, height
        confidences = output[:, [4 + i for i in self._indices]].max(axis=1)  # (B, anchors)
        return np.array([self._image_score(b, c) for b, c in zip(boxes, confidences, strict=True)])

    def _run(self, pixels: Float32[np.ndarray, "batch 3 side side"]) -> Any:
        """The network's output, ``(B, 4 + classes, anchors)``."""
        name = self._session.get_inputs()[0].name
        try:
            (output,) = self._session.run(None, {name: pixels})
        except onnx_errors(self._onnx) as error:
            raise ModelError(f"{self._spec} could not be run: {error}") from error
        return output

    def _letterbox(self, image: Image) -> Float32[np.ndarray, "3 side side"]:
        """Resized to fit, at the top left of a black square, as the package does."""
        height, width = image.shape[:2]
        scale = INPUT_SIZE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        interpolation = self._cv2.INTER_AREA if scale < 1 else self._cv2.INTER_LINEAR
        square = np.zeros((INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
        square[: size[1], : size[0]] = self._cv2.resize(
            np.ascontiguousarray(image), size, interpolation=interpolation
        )
        return square.transpose(2, 0, 1).astype(np.float32) / 255

    def _image_score(self, boxes: Any, confidences: Any) -> float:
        """P(unsafe) of one image, of boxes ``(anchors, 4)`` and confidences ``(anchors,)``."""
        detected = np.flatnonzero(confidences > DECISION_CONFIDENCE)  # as in the package
        if not len(detected):
            return float(calibrate(confidences.max()))
        corners = boxes[detected].astype(np.float64)
        corners[:, :2] -= corners[:, 2:] / 2
        # Boxes that do not overlap are distinct objects; the most confident comes first.
        kept = self._cv2.dnn.NMSBoxes(
            corners.tolist(), confidences[detected].tolist(), DECISION_CONFIDENCE, _NMS_IOU
        )
        return combined_score(calibrate(confidences[detected][np.asarray(kept).ravel()]).tolist())


def load(argument: str, *, device: str = "cpu") -> NudeNetClassifier:
    """Load the detector for ``LABEL+LABEL``, such as ``FACE_FEMALE+FACE_MALE``."""
    return NudeNetClassifier(tuple(argument.split("+")), device=device)


def calibrate(confidence: Any) -> Float64[np.ndarray, "..."]:
    """Map confidences to probabilities; the package's decision becomes 0.5."""
    confidence = np.clip(np.asarray(confidence, np.float64), 0, 1)
    unsafe = confidence * (1 - DECISION_CONFIDENCE)
    probability: np.ndarray = unsafe / (unsafe + DECISION_CONFIDENCE * (1 - confidence))
    return probability


def _weights_file() -> Path:
    # Importing the package would load the network a second time, so only its folder is located.
    spec = importlib.util.find_spec("nudenet")
    if spec is None or spec.origin is None:
        raise MissingExtraError(f"{_USER} need nudenet: {_INSTALL}")
    return Path(spec.origin).parent / "320n.onnx"


def _label_names(session: Any) -> list[str]:
    """The detector's labels in order of their index, read from the network's file."""
    names = ast.literal_eval(session.get_modelmeta().custom_metadata_map["names"])
    return [names[index] for index in range(len(names))]


def _label_indices(labels: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    wanted = [label.strip().upper() for label in labels]
    if unknown := [label for label in wanted if label not in names]:
        known = ", ".join(sorted(names))
        raise UsageError(f"nudenet has no label {unknown[0]!r}; choose among {known}")
    return sorted({names.index(label) for label in wanted})
