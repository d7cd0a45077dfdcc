"""Methods of the counterfactual benchmark: the paper's, ours, and rivals as published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFilter

from counterveil import attribution, profiles, search, segmentation
from counterveil.attribution import Attribution
from counterveil.config import Config
from counterveil.fills import Fill, fill
from counterveil.pipeline import Components, NamedMethod
from counterveil.types import Classifier, GradientClassifier, Image

Options = Mapping[str, Any]
"""Keyword arguments of a constructor."""

BLACK = fill("black")
PAPER_BASS: Options = MappingProxyType({"initial_count": 12})
"""Chosen on validation scenes: from 12 initial regions, the greedy search finds more
counterfactuals within ten regions than from 16, the default."""
CSRA_SLIC: Options = MappingProxyType({"n_segments": 30, "compactness": 50})
SECOND_STAGE = ("layer2", "network.resnet.encoder.stages.1")
"""Names of a ResNet's second stage: torchvision's, and the pictogram classifiers'."""


@dataclass(frozen=True)
class Method:
    """A combination of methods: one row of a table.

    Attributes:
        segmentation_options: options of the segmentation; ``None``: ``PAPER_BASS`` for BASS.
        attribution_layers: layers that the attribution may use; the first that the classifier
            has is taken, or the attribution's default if it has none of them.
        refinement: reduce the mask along cells smaller than the regions.
        complete_objects: complete the mask to whole objects and release it.
        expensive: scores about a thousand images for each counterfactual.
    """

    name: str
    attribution: str = "fullgrad"
    segmentation: str = "bass"
    search: str = "greedy"
    segmentation_options: Options | None = None
    search_options: Options = field(default_factory=dict)
    attribution_layers: tuple[str, ...] = ()
    fill: Fill = field(default=BLACK)
    margin: float = 0.0
    max_evaluations: int = 512
    refinement: bool = False
    complete_objects: bool = False
    expensive: bool = False

    @property
    def config(self) -> Config:
        """Margin and limits of the search; at most ten regions, as in the paper."""
        return Config(
            margin=self.margin,
            max_evaluations=self.max_evaluations,
            completion="colour" if self.complete_objects else "none",
        )

    def components(self, classifier: Classifier) -> Components:
        """The methods of the counterfactual search for one classifier."""
        default = PAPER_BASS if self.segmentation == "bass" else {}
        options = default if self.segmentation_options is None else self.segmentation_options
        regions = segmentation.make(self.segmentation, **options)
        return Components(
            attribution=NamedMethod(self.attribution, self._make_attribution(classifier)),
            black_box_attribution=NamedMethod("occlusion", attribution.make("occlusion")),
            segmentation=NamedMethod(self.segmentation, regions),
            black_box_segmentation=regions,
            refinement=profiles.fine_regions if self.refinement else None,
            search=NamedMethod(self.search, search.make(self.search, **self.search_options)),
            fill=self.fill,
        )

    def _make_attribution(self, classifier: Classifier) -> Attribution:
        names = set()
        if isinstance(classifier, GradientClassifier):
            names = {name for name, _ in classifier.module.named_modules()}
        layer = next((name for name in self.attribution_layers if name in names), None)
        return attribution.make(self.attribution, **({} if layer is None else {"layer": layer}))


PAPER = Method("FullGrad + BASS + greedy (the paper)")
"""The paper's method; the baseline of both of its tables."""
MINIMAL = Method("minimal (ours)", search="minimal")
"""Our search with the paper's regions and margin."""
DEFAULT = Method(
    "default (ours): minimal, refined",
    search="minimal",
    segmentation_options={},
    margin=profiles.PROFILES["pictograms"].margin,
    refinement=True,
)
"""The default configuration, before objects are completed."""
RELEASED = replace(DEFAULT, name="released (ours): default, whole objects", complete_objects=True)
"""The default configuration, as it is released."""
OURS = (MINIMAL, DEFAULT, RELEASED)


def attribution_methods() -> tuple[Method, ...]:
    """Table 3: attribution methods with BASS and the greedy search."""
    names = {
        "ablationcam": "Ablation-CAM",
        "gradcam": "Grad-CAM",
        "gradcam++": "Grad-CAM++",
        "xgradcam": "XGrad-CAM",
    }
    return (PAPER, *(Method(title, attribution=name) for name, title in names.items()))


def segmentation_methods(sam: str = "") -> tuple[Method, ...]:
    """Table 4: segmentations with FullGrad and the greedy search; SAM if there is a checkpoint."""
    names = {"slic": "SLIC", "felzenszwalb": "Felzenszwalb", "watershed": "Compact Watershed"}
    rows = (PAPER, *(Method(title, segmentation=name) for name, title in names.items()))
    if not sam:
        return rows
    return (*rows, Method("SAM", segmentation="sam", segmentation_options={"model": sam}))


def search_methods() -> tuple[Method, ...]:
    """Our searches and rivals: first with the paper's regions, then with published settings."""
    csra = Method("CSRA as published", "gradcam", "slic", "csra", CSRA_SLIC, max_evaluations=1024)
    ten_regions = replace(
        csra, name="CSRA as published, 10 regions", search_options={"regions": 10}, expensive=True
    )
    sedc = Method("SEDC", search="sedc", max_evaluations=2048)
    reference = Method("published code", search="reference", max_evaluations=1024)
    return (
        PAPER,
        *OURS,
        Method("CSRA", search="csra"),
        sedc,
        Method("BEN", search="ben"),
        reference,
        csra,
        ten_regions,
        replace(sedc, name="SEDC as published, blur", segmentation="quickshift", fill=BLUR),
        replace(sedc, name="SEDC as published, mean", segmentation="quickshift", fill=MEAN),
        replace(
            reference,
            name="published code as published",
            attribution="gradcam",
            attribution_layers=SECOND_STAGE,
            search_options={"dilation": 1},
        ),
    )


def method_tables(
    sam: str = "", *, has_gradients: bool = True, expensive: bool = True
) -> dict[str, tuple[Method, ...]]:
    """All rows by table; a row may be in several tables.

    Args:
        sam: checkpoint of Segment Anything; empty: no such row.
        has_gradients: whether gradient attributions support the classifier; if not, there is no
            table of attributions (occlusion ranks the regions of every row).
        expensive: include expensive rows.
    """
    tables = {
        "paper": (PAPER, MINIMAL),
        "attributions": attribution_methods(),
        "partitions": segmentation_methods(sam),
        "searches": tuple(row for row in search_methods() if expensive or not row.expensive),
    }
    return {name: rows for name, rows in tables.items() if has_gradients or name != "attributions"}


def _blur(image: Image) -> Image:
    # OpenCV's Gaussian of 31 pixels has sigma 5; the authors' images have 224 pixels.
    radius = 5 / 224 * min(image.shape[:2])
    return np.asarray(Pillow.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def _mean_colour(image: Image) -> np.ndarray:
    colour: np.ndarray = np.rint(image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    return colour


# SEDC's fills. Both are computed from the hidden pixels, so the library does not offer them.
BLUR = Fill("blur of 31 pixels", True, _blur)
MEAN = Fill("mean colour", True, _mean_colour)
