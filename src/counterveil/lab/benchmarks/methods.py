"""The rows of the paper's Tables 3 and 4, and the rivals as their authors set them."""

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
from counterveil.fills import Fill, fill
from counterveil.pipeline import Components, Named, Settings
from counterveil.types import Classifier, Image

Options = Mapping[str, Any]
BLACK = fill("black")
TARGET = profiles.PROFILES["proxy"].settings.target
"""What the default settings ask for; a mere flip is 0.5."""
PAPER_BASS: Options = MappingProxyType({"start": 12})
"""Found on validation scenes: from 12 regions, the greedy search finds more counterfactuals among
its ten than from 16, the default."""
CSRA_SLIC: Options = MappingProxyType({"segments": 30, "compactness": 50})
SECOND_STAGE = ("layer2", "network.resnet.encoder.stages.1")
"""Names of a ResNet's second stage: torchvision's, and the proxies'."""


@dataclass(frozen=True)
class Method:
    """One row: how regions are made, ranked, searched and hidden.

    Attributes:
        name: of the row.
        attribution: name in ``counterveil.attribution.ATTRIBUTIONS``.
        segmentation: name in ``counterveil.segmentation.SEGMENTATIONS``.
        search: name in ``counterveil.search.SEARCHES``.
        regions: options of the segmentation; by default BASS's for the paper's search.
        options: of the search.
        layers: names of the layer that the attribution reads, the first that there is; the
            attribution's own choice where there is none.
        fill: what hides a region.
        target: the score to stay below.
        evaluations: most images scored by the search.
        refinement_labels: whether the veil is given back by pieces finer than its regions.
        objects: whether it is then completed to whole objects, and released.
        heavy: whether it scores a thousand images for every one that it veils.
    """

    name: str
    attribution: str = "fullgrad"
    segmentation: str = "bass"
    search: str = "greedy"
    regions: Options | None = None
    options: Options = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    fill: Fill = field(default=BLACK)
    target: float = 0.5
    evaluations: int = 512
    refinement_labels: bool = False
    objects: bool = False
    heavy: bool = False

    @property
    def settings(self) -> Settings:
        """How far it goes; the paper's ten regions."""
        return Settings(target=self.target, max_evaluations=self.evaluations, objects=self.objects)

    def parts(self, classifier: Classifier) -> Components:
        """What the pipeline is handed."""
        own = PAPER_BASS if self.segmentation == "bass" else {}
        options = own if self.regions is None else self.regions
        partition = segmentation.make(self.segmentation, **options)
        return Components(
            attribution=Named(self.attribution, self._attribution(classifier)),
            black_box=Named("occlusion", attribution.make("occlusion")),
            segmentation=Named(self.segmentation, partition),
            refinement_labels=profiles.methods(profiles.PROFILES["proxy"]).refinement_labels
            if self.refinement_labels
            else None,
            search=Named(self.search, search.make(self.search, **self.options)),
            fill=self.fill,
        )

    def _attribution(self, classifier: Classifier) -> Attribution:
        inside = {name for name, _ in getattr(classifier, "module", _Nothing).named_modules()}
        layer = next((name for name in self.layers if name in inside), None)
        return attribution.make(self.attribution, **({} if layer is None else {"layer": layer}))


class _Nothing:
    @staticmethod
    def named_modules() -> list[tuple[str, object]]:
        """Of a classifier that cannot be looked into."""
        return []


PAPER = Method("FullGrad + BASS + greedy (the paper)")
"""What both tables of the paper have in common, and searches are compared with."""
MINIMAL = Method("minimal (ours)", search="minimal")
"""The same regions and goal, our search."""
DEFAULT = Method(
    "default (ours): minimal, finer",
    search="minimal",
    regions={},
    target=TARGET,
    refinement_labels=True,
)
"""What the default settings search for, before whole objects are veiled."""
RELEASED = replace(DEFAULT, name="released (ours): default, whole objects", objects=True)
"""What the default settings release."""
OURS = (MINIMAL, DEFAULT, RELEASED)


def attributions() -> tuple[Method, ...]:
    """Table 3: maps, over BASS."""
    names = {"ablationcam": "Ablation-CAM", "gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++"}
    names["xgradcam"] = "XGrad-CAM"
    return (PAPER, *(Method(title, attribution=name) for name, title in names.items()))


def partitions(sam: str = "") -> tuple[Method, ...]:
    """Table 4: partitions, ranked by FullGrad.

    Args:
        sam: a checkpoint of Segment Anything; no such row where empty.
    """
    names = {"slic": "SLIC", "felzenszwalb": "Felzenszwalb", "watershed": "Compact Watershed"}
    rows = (PAPER, *(Method(title, segmentation=name) for name, title in names.items()))
    return (*rows, Method("SAM", segmentation="sam", regions={"model": sam})) if sam else rows


def searches() -> tuple[Method, ...]:
    """Ours and the rivals': first over the paper's regions, then as their authors set them."""
    csra = Method("CSRA as published", "gradcam", "slic", "csra", CSRA_SLIC, evaluations=1024)
    sedc = Method("SEDC", search="sedc", evaluations=2048)
    code = Method("published code", search="reference", evaluations=1024)
    return (
        PAPER,
        *OURS,
        Method("CSRA", search="csra"),
        sedc,
        Method("BEN", search="ben"),
        code,
        csra,
        replace(csra, name="CSRA as published, 10 regions", options={"regions": 10}, heavy=True),
        replace(sedc, name="SEDC as published, blur", segmentation="quickshift", fill=BLUR),
        replace(sedc, name="SEDC as published, mean", segmentation="quickshift", fill=MEAN),
        replace(
            code,
            name="published code as published",
            attribution="gradcam",
            layers=SECOND_STAGE,
            options={"dilation": 1},
        ),
    )


def tables(
    sam: str = "", *, opened: bool = True, heavy: bool = True
) -> dict[str, tuple[Method, ...]]:
    """All rows by table; a row may stand in several.

    Args:
        sam: a checkpoint of Segment Anything, for a row of its own.
        opened: whether the classifier can be looked into. One that only scores has its regions
            ranked by occlusion in every row, and no table of attributions.
        heavy: the heavy rows, too.
    """
    chosen = {"paper": (PAPER, MINIMAL), "attributions": attributions()}
    chosen["partitions"] = partitions(sam)
    chosen["searches"] = tuple(row for row in searches() if heavy or not row.heavy)
    return {name: rows for name, rows in chosen.items() if opened or name != "attributions"}


def _blurred(image: Image) -> Image:
    # OpenCV's Gaussian of 31 pixels has sigma 5, on the authors' images of 224 pixels.
    radius = 5 / 224 * min(image.shape[:2])
    return np.asarray(Pillow.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def _mean(image: Image) -> np.ndarray:
    colour: np.ndarray = np.rint(image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    return colour


# Both are derived from what they hide, hence no fills of the library's.
BLUR = Fill("blur of 31 pixels", True, _blurred)
MEAN = Fill("mean colour", True, _mean)
