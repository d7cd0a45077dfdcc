"""Reads the words in images, with their boxes, offline (RapidOCR; extra ``text``)."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import Float64

from counterveil import registry
from counterveil.classifiers.onnx_sessions import onnx_errors
from counterveil.errors import ModelError
from counterveil.types import Image

MAX_SIDE = 1600
"""Longer images are shrunk to this side, in pixels."""

_SHORT_SIDE = 512
"""Smaller images are enlarged to this shorter side to find lines. The package's 736 finds 42 of 48
words of 9 to 24 pixels, 512 finds 41 in 0.6 of the time (docs/log.md)."""

_MIN_SIDE, _MAX_ASPECT = 64, 2
"""Narrower images get a border; the OCR fails on images of few pixels, and on long strips."""

_MARGIN = 0.15
"""Added at each end of a word, as a share of the line's height."""

_TURN_ASPECT = 1.5
"""Height over width from which the package reads a line from top to bottom."""


@dataclass(frozen=True)
class Word:
    """A word as the OCR reads it.

    Attributes:
        text: the letters.
        confidence: of the OCR, in ``[0, 1]``.
        box: left, top, right, bottom in pixels of the image; the last two exclusive.
    """

    text: str
    confidence: float
    box: tuple[int, int, int, int]


Line = tuple[Word, ...]


class TextReader:
    """RapidOCR with the models that its package contains; nothing is downloaded.

    Args:
        device: ``cpu``, or ``cuda`` where onnxruntime was built for it.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        package, onnx = import_extra("rapidocr"), import_extra("onnxruntime")
        self._cv2 = import_extra("cv2")
        self._files = _model_files(package)
        # The package translates none of its errors, and NumPy and OpenCV raise inside it.
        self._errors = (
            *onnx_errors(onnx),
            import_extra("rapidocr.inference_engine.onnxruntime.main").ONNXRuntimeError,
            import_extra("rapidocr.utils.process_img").ResizeImgError,
            self._cv2.error,
            ValueError,
            TypeError,
            IndexError,
            OSError,
        )
        self._no_text = import_extra("rapidocr.main").RapidOCRError  # for an image without text
        provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
        if provider.get(device.partition(":")[0]) not in onnx.get_available_providers():
            raise ModelError(
                f"onnxruntime cannot run on {device!r} here; use 'cpu', or install onnxruntime-gpu"
            )
        # Where a path is given, the package neither looks for a model nor downloads one.
        paths = {f"{task}.model_path": str(path) for task, path in self._files.items()}
        options = {
            **paths,
            "Global.log_level": "critical",
            "Global.return_word_box": True,
            "Det.limit_side_len": _SHORT_SIDE,
            "EngineConfig.onnxruntime.use_cuda": device.startswith("cuda"),
        }
        try:
            self._ocr = package.RapidOCR(params=options)
        except self._errors as error:
            raise ModelError(f"rapidocr could not be loaded: {error}") from error

    @cached_property
    def sha256(self) -> str:
        """Of the bytes of all models."""
        digest = hashlib.sha256()
        for path in self._files.values():
            digest.update(path.read_bytes())
        return digest.hexdigest()

    @cached_property
    def version(self) -> str:
        """Of the package."""
        return importlib.metadata.version("rapidocr")

    def read(self, image: Image) -> tuple[Line, ...]:
        """The lines of ``(H, W, 3)``, from top to bottom.

        Raises:
            ModelError: the OCR fails. The message does not quote what is written in the image.
        """
        height, width = image.shape[:2]
        scale = min(1.0, MAX_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        try:
            pixels = np.ascontiguousarray(image[..., ::-1])  # the package expects BGR
            if scale < 1:
                pixels = self._cv2.resize(pixels, size, interpolation=self._cv2.INTER_AREA)
            lines = self._recognise(self._bordered(pixels))
        except self._no_text:
            return ()
        except self._errors as error:
            raise ModelError(f"rapidocr could not be run: {type(error).__name__}") from error
        ratio = np.array([width / size[0], height / size[1]])
        words = (line.words(ratio, width, height) for line in lines)
        return tuple(line for line in words if line)

    def _recognise(self, pixels: Image) -> list[_Recognised]:
        # Not by calling the package's object as a whole: its boxes of words are mirrored where
        # the line was turned, and it gives words the confidences of single letters.
        crops, detected = self._ocr.detect_and_crop(pixels, {})
        turned, directions = self._ocr.cls_and_rotate(crops)
        recognised = self._ocr.recognize_txt(turned)
        columns = zip(
            detected.boxes, directions.cls_res, recognised.txts, recognised.scores,
            recognised.word_results, strict=True,
        )  # fmt: skip
        lines = []
        for corners, (direction, certainty), text, score, info in columns:
            centres = [column for word in info.word_cols for column in word]
            line = _Recognised(
                text=text,
                confidence=float(score),
                confidences=tuple(map(float, info.confs)),
                centres=tuple((column + 0.5) / info.line_txt_len for column in centres),
                corners=np.asarray(corners, np.float64),
                upside_down="180" in direction and certainty > self._ocr.text_cls.cls_thresh,
            )
            lines.append(line)
        return lines

    def _bordered(self, pixels: Image) -> Image:
        """With a border of the edge's own colours at the right or bottom of narrow images."""
        height, width = pixels.shape[:2]
        least = max(_MIN_SIDE, max(height, width) // _MAX_ASPECT)
        below, right = max(0, least - height), max(0, least - width)
        bordered: Image = self._cv2.copyMakeBorder(
            pixels, 0, below, 0, right, self._cv2.BORDER_REPLICATE
        )
        return bordered


@dataclass(frozen=True, eq=False)
class _Recognised:
    """A line as the package recognises it.

    Attributes:
        text: its letters and spaces.
        confidence: of the line.
        confidences: of each letter and space.
        centres: of each letter (without spaces) along the line, as shares of its length.
        corners: of the line, clockwise from the top left, ``(4, 2)``, x and y.
        upside_down: the line was turned by 180 degrees before it was read.
    """

    text: str
    confidence: float
    confidences: tuple[float, ...]
    centres: tuple[float, ...]
    corners: Float64[np.ndarray, "4 2"]
    upside_down: bool

    def words(self, ratio: Float64[np.ndarray, "2"], width: int, height: int) -> Line:
        """The words, their boxes multiplied by ``ratio`` and clipped to the image."""
        texts = self.text.split()
        if not texts:  # what looked like a line has no letters
            return ()
        if len(self.centres) != sum(map(len, texts)) or len(self.confidences) != len(self.text):
            # A letter of several code points. The line as a whole is still right.
            box = _upright(self.corners * ratio, width, height)
            return tuple(Word(text, self.confidence, box) for text in texts)
        pairs = zip(self.confidences, self.text, strict=True)
        visible = [confidence for confidence, letter in pairs if not letter.isspace()]
        half = float(np.ptp(self.centres)) / max(1, len(self.text) - 1) / 2 or 0.5
        words, start = [], 0
        for text in texts:
            stop = start + len(text)
            corners = self._part(self.centres[start] - half, self.centres[stop - 1] + half)
            box = _upright(corners * ratio, width, height)
            words.append(Word(text, float(np.mean(visible[start:stop])), box))
            start = stop
        return tuple(words)

    def _part(self, start: float, stop: float) -> Float64[np.ndarray, "4 2"]:
        """Corners of a part of the line, with a margin; ``start`` and ``stop`` along the line."""
        first, second, third, fourth = self.corners
        across = float(np.linalg.norm(second - first))
        down = float(np.linalg.norm(fourth - first))
        if down < _TURN_ASPECT * across:  # from left to right
            begin, end = (first, fourth), (second, third)
            margin = _MARGIN * down / max(across, 1)
        else:  # from top to bottom
            begin, end = (first, second), (fourth, third)
            margin = _MARGIN * across / max(down, 1)
        if self.upside_down:
            start, stop = 1 - stop, 1 - start
        shares = max(0.0, start - margin), min(1.0, stop + margin)
        ends = list(zip(begin, end, strict=True))
        return np.array([a + (b - a) * share for share in shares for a, b in ends])


def _upright(
    corners: Float64[np.ndarray, "4 2"], width: int, height: int
) -> tuple[int, int, int, int]:
    """The upright box around corners: left, top, right, bottom; at least one pixel."""
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    left, top = int(np.clip(left, 0, width - 1)), int(np.clip(top, 0, height - 1))
    return left, top, int(np.clip(right, left + 1, width)), int(np.clip(bottom, top + 1, height))


def _model_files(package: ModuleType) -> dict[str, Path]:
    """The models that the package contains, by task."""
    folder = Path(str(package.__file__)).parent / "models"
    names = {"Det": "PP-OCRv6_det_small", "Cls": "ch_ppocr_mobile_v2.0_cls_mobile",
             "Rec": "PP-OCRv6_rec_small"}  # fmt: skip
    files = {task: folder / f"{name}.onnx" for task, name in names.items()}
    for file in files.values():
        if not file.is_file():
            raise ModelError(f"rapidocr lacks its model {file.name}; install rapidocr 3.10")
    return files


import_extra = partial(
    registry.import_extra, user="text classifiers", install="pip install 'counterveil[text]'"
)
"""Imports a module of the extra ``text``."""
