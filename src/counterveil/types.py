"""Values that travel between the stages. A leaf: numpy only, never torch.

Conventions, declared once: images are RGB ``uint8`` in ``(height, width, 3)``; a mask is
``bool`` in ``(height, width)`` and ``True`` means *veiled*; scores are probabilities of
*unsafe* in ``[0, 1]``; positions are row, column; boxes name their format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, UInt8

Image = UInt8[np.ndarray, "height width 3"]
Images = UInt8[np.ndarray, "batch height width 3"]
Mask = Bool[np.ndarray, "height width"]
Masks = Bool[np.ndarray, "batch height width"]
Labels = Int32[np.ndarray, "height width"]
AttributionMap = Float32[np.ndarray, "height width"]
ForegroundMap = Float32[np.ndarray, "height width"]
Scores = Float64[np.ndarray, " batch"]

ScoreFunction = Callable[[Images], Scores]
"""P(unsafe) of each image of a batch; all a search ever learns of a model."""

MaskScoreFunction = Callable[[Masks], Scores]
"""P(unsafe) of one image under each of a batch of masks."""

SearchOutcome = Literal["found", "not_found", "not_needed"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of one file, as one kind of viewer shows it.

    Attributes:
        pixels: the frame as RGB.
        name: the file's name, without folders.
        sha256: of the file's bytes, lower-case hex.
        format: the codec's name, such as ``"PNG"``.
        frame: index of this frame in the file.
        frames: how many frames the file holds.
        notes: what decoding changed, in plain words ("transparency laid on white").
        view: how these pixels come about, such as ``"on black"``; empty for the plain way.
        released: may be released. ``False`` for a further picture in the file, such as a
            thumbnail, which is only assessed.
        not_assessed: sentences on what the file holds and nobody assessed; the same in every
            frame of a file.
    """

    pixels: Image
    name: str
    sha256: str
    format: str
    frame: int = 0
    frames: int = 1
    notes: tuple[str, ...] = ()
    view: str = ""
    released: bool = True
    not_assessed: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True)
class ModelInfo:
    """Which model spoke: its spec, its version, and the hash of its weights.

    Attributes:
        name: the spec it was made from, such as ``"pictograms:self_harm"``.
        version: of the weights or of the library that ships them.
        sha256: of the weights' bytes; empty where there are none to hash (a remote API).
    """

    name: str
    version: str = ""
    sha256: str = ""


@runtime_checkable
class Classifier(Protocol):
    """Anything that scores images; a black box needs no more than this."""

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        ...

    def score(self, images: Images) -> Scores:
        """P(unsafe) of each image, in ``[0, 1]``; images of one batch share a size."""
        ...


@runtime_checkable
class MaskScoringClassifier(Classifier, Protocol):
    """A classifier that can composite and score masked copies of one image on its own device."""

    def score_masked(self, image: Image, paint: Image) -> MaskScoreFunction | None:
        """A function that scores one image under masks.

        Args:
            image: ``(H, W, 3)``.
            paint: what shows where a mask is ``True``, ``(H, W, 3)``.

        Returns:
            The function; ``None`` where compositing on the CPU is faster.
        """
        ...


@runtime_checkable
class GradientClassifier(Classifier, Protocol):
    """A classifier around a torch module, so that gradients can be taken.

    Tensors are written as ``Any``: this module must not import torch.
    """

    @property
    def module(self) -> Any:
        """The ``torch.nn.Module``; maps inputs ``(B, 3, h, w)`` to logits ``(B, C)``."""
        ...

    def to_input(self, images: Images) -> Any:
        """The module's input ``(B * V, 3, h, w)``, float32, on the module's device.

        The V views of one image follow each other.
        """
        ...

    def to_image_maps(self, maps: Any, size: tuple[int, int]) -> Any:
        """Mean over the views, in the image's coordinates, of maps of the input.

        Args:
            maps: ``(B * V, h, w)``, of any resolution.
            size: ``(H, W)`` of the images.

        Returns:
            ``(B, H, W)``.
        """
        ...

    def target(self, logits: Any) -> Any:
        """The scalar that a gradient attribution explains, ``(B,)``, of logits ``(B, C)``."""
        ...


@dataclass(frozen=True)
class Box:
    """Where a classifier sees something.

    Attributes:
        left: first column, in pixels.
        top: first row.
        right: column behind the last one.
        bottom: row behind the last one.
        score: P(unsafe) of what is in the box, in ``[0, 1]``.
        label: what it is, such as ``"FACE_FEMALE"``; empty if the classifier does not say.
        rounded: the thing is round, as a face is: its veil may leave the corners out.
    """

    left: int
    top: int
    right: int
    bottom: int
    score: float
    label: str = ""
    rounded: bool = False


@runtime_checkable
class LocalizingClassifier(Classifier, Protocol):
    """A classifier that says where it sees something; the boxes become the regions."""

    def boxes(self, image: Image) -> tuple[Box, ...]:
        """What it sees in ``(H, W, 3)``, inside the image, highest score first."""
        ...


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The outcome of a search.

    Attributes:
        outcome: ``found``: the veiled image scores below ``target``; ``not_found``: the budget
            ended first; ``not_needed``: the image scores below the threshold as it is.
        mask: ``True`` = veiled; the best attempt for ``not_found``.
        regions: numbers of the veiled regions, most important first.
        depth: length of the shortest prefix that flipped the decision (the paper's depth);
            0 when not needed, the number of prefixes tried when not found.
        regions_total: number of regions of the partition.
        score_before: P(unsafe) of the image without a mask.
        score_after: P(unsafe) of the image under ``mask``.
        irreducible: no single veiled region (or cell of the refinement labels, where those
            were used) can be removed such that the score stays below ``target``.
        evaluations: images scored.
        target: the score that the veiled image had to stay below.
    """

    outcome: SearchOutcome
    mask: Mask
    regions: tuple[int, ...]
    depth: int
    regions_total: int
    score_before: float
    score_after: float
    irreducible: bool
    evaluations: int
    target: float

    @property
    def area_fraction(self) -> float:
        """Veiled share of the image, in ``[0, 1]``."""
        return float(self.mask.mean())
