"""The veil of one frame: found, united, released; or the whole image veiled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from counterveil.fills import fill as fill_named
from counterveil.masking.candidates import candidate_masks
from counterveil.masking.objects import complete_objects
from counterveil.masking.union import ScoreConstraint, unite_masks
from counterveil.pipeline.components import CategoryClassifier, Components, Settings
from counterveil.pipeline.explain import Counted, Explainer, Explanation
from counterveil.pipeline.release import Release, release
from counterveil.pipeline.scale import enlarge, shrink
from counterveil.pipeline.timing import Stopwatch
from counterveil.search import MaskEvaluator
from counterveil.types import AttributionMap, Frame, Image, Mask, Masks, Scores


class Job:
    """Veils one frame.

    Args:
        photo: the frame.
        watches: what the released file is scored for.
        flagged: those of them that flagged the frame.
        methods: how counterfactuals are found.
        settings: how far to go.
        stopwatch: told what is under way.
    """

    def __init__(
        self,
        photo: Frame,
        watches: Sequence[CategoryClassifier],
        flagged: Sequence[CategoryClassifier],
        methods: Components,
        settings: Settings,
        stopwatch: Stopwatch,
    ) -> None:
        self._watches, self._methods, self._settings = watches, methods, settings
        self.photo = photo
        self._flagged = flagged
        self._stopwatch = stopwatch
        self.explanations: dict[str, Explanation] = {}
        self.warnings: list[str] = []
        self.mask: Mask = np.zeros((photo.height, photo.width), bool)
        self.completed = 0.0
        self.answered = 0.0
        self.irreducible = True
        self.whole = False
        self.fill = methods.fill
        self.released: Release

    def run(self) -> None:
        """Search small first, then at full resolution, then give up and veil everything."""
        if not self._flagged:
            self._release()
            return
        small = shrink(self.photo.pixels, self._settings.side)
        for image in [small] if small is self.photo.pixels else [small, self.photo.pixels]:
            core = self._search(image)
            if core is not None and self._release_first(image, core):
                return
        self.whole, self.completed = True, 0.0
        self.mask = np.ones_like(self.mask)
        if self.fill.reversible_risk:
            self.fill = fill_named("black")  # a blur of everything hides nothing for certain
        self.warnings.append(
            "no counterfactual was found within the budget, so the whole image is veiled"
        )
        self._release()

    def veil_also(self, more: Mask) -> bool:
        """Release with more veiled, for answers; as it was where that is not safe, or fails."""
        mask = self.mask | more
        with self._stopwatch("release"):
            released = release(self.photo.pixels, mask, self.fill, self._watches)
        if not released.safe:
            return False
        self.answered += float((mask & ~self.mask).mean())
        self.mask, self.released = mask, released
        return True

    def _search(self, image: Image) -> Mask | None:
        """Explain each flagged category and unite the veils; ``None`` where one was not found."""
        explainer = Explainer(image, self._methods, self._settings, self._stopwatch)
        self.explanations = {w.category.key: explainer.explain(w) for w in self._flagged}
        found = [explanation.counterfactual for explanation in self.explanations.values()]
        if any(counterfactual.outcome != "found" for counterfactual in found):
            return None
        if len(found) > 1:
            return self._unite(image)
        self.irreducible = found[0].irreducible
        return found[0].mask

    def _release_first(self, image: Image, core: Mask) -> bool:
        """Release with whole objects veiled, as far as that is safe."""
        for mask in self._candidates(image, core):
            self.mask = enlarge(mask, self.photo.height, self.photo.width)
            self.completed = float((mask & ~core).mean())
            if self._release():
                return True
        return False

    def _candidates(self, image: Image, core: Mask) -> Iterator[Mask]:
        if not self._settings.objects or self._methods.refinement_labels is None:
            return iter([core])
        whole = self._objects(image, core)

        def margin(masks: Masks) -> Scores:
            veiled = self._methods.fill(image, masks)
            over = [w.classifier.score(veiled) - w.category.threshold for w in self._watches]
            worst: Scores = np.max(over, axis=0)
            return worst

        return candidate_masks(core, whole, margin=margin)

    def _objects(self, image: Image, core: Mask) -> Mask:
        with self._stopwatch("objects"):
            return complete_objects(
                image,
                core,
                next(iter(self.explanations.values())).refinement_labels,
                attribution_map=_hottest(
                    [explanation.attribution_map for explanation in self.explanations.values()]
                ),
            )

    def _unite(self, image: Image) -> Mask:
        explanations = list(self.explanations.values())
        with self._stopwatch("search"):
            combined = unite_masks(
                [explanation.counterfactual.mask for explanation in explanations],
                [self._constraint(image, w) for w in self._flagged],
                explanations[0].refinement_labels,
            )
        self.irreducible = combined.irreducible
        return combined.mask

    def _constraint(self, image: Image, watch: CategoryClassifier) -> ScoreConstraint:
        counted, fill = Counted(watch.classifier), self._methods.fill
        evaluator = MaskEvaluator(
            image,
            counted.score,
            fill,
            max_evaluations=self._settings.max_evaluations,
            score_masked=counted.score_masked(image, fill.painted(image)),
        )
        return ScoreConstraint(
            evaluator, self.explanations[watch.category.key].counterfactual.target
        )

    def _release(self) -> bool:
        with self._stopwatch("release"):
            self.released = release(self.photo.pixels, self.mask, self.fill, self._watches)
        return self.released.safe


def _hottest(attribution_maps: Sequence[AttributionMap]) -> AttributionMap:
    """The most that any category's heat says of a pixel, each as a share of its own maximum."""
    if len(attribution_maps) == 1:
        return attribution_maps[0]
    hottest: AttributionMap = np.max(
        [
            attribution_map / max(float(attribution_map.max()), 1e-12)
            for attribution_map in attribution_maps
        ],
        axis=0,
    )
    return hottest
