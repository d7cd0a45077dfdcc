"""Step 5: ask a reasoner about the image, before and after the veil."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from counterveil import narrative
from counterveil.categories import ControlCode
from counterveil.errors import BOUNDARY_ERRORS, describe_error
from counterveil.pipeline.assess import Assessment
from counterveil.pipeline.components import Context
from counterveil.pipeline.mask import resize_mask, shrink_image
from counterveil.pipeline.results import category_results
from counterveil.pipeline.veil import VeiledFrame, widen
from counterveil.reasoning.interfaces import GroundedAnswer, Reasoner, ask_with_grounding
from counterveil.record import Answer, CategoryResult, Disagreement, Rationale
from counterveil.search.evaluator import MaskEvaluator
from counterveil.search.problem import SearchProblem
from counterveil.types import Images, Mask, Scores

UNANSWERED = 1.0
"""P(yes) of a question without an answer: it counts as not hidden yet."""


@dataclass(frozen=True)
class RationaleResult:
    """What a reasoner said, and the veil it speaks about.

    Attributes:
        rationale: ``None`` if the reasoner failed.
        veiled: the frame; more of it may be veiled than before.
        not_assessed: sentences on questions without an answer; they make a record partial.
    """

    rationale: Rationale | None
    veiled: VeiledFrame
    not_assessed: tuple[str, ...] = ()


@dataclass(frozen=True)
class RationaleWriter:
    """Asks about one assessed file. No failure here loses the veil.

    Attributes:
        reasoner: the vision-language model.
        assessment: scores of the file.
        context: which questions and guidance; search and segmentation, to veil more for answers.
    """

    reasoner: Reasoner
    assessment: Assessment
    context: Context

    def write(self, veiled: VeiledFrame) -> RationaleResult:
        """Ask; veil what is still answered yes, if configured; then ask again."""
        first = self._ask(veiled)
        if first.rationale is None:
            return first
        wider = self._veil_answers(veiled, first.rationale)
        # Nothing more was veiled, so the answers still hold; a warning may have been added.
        if wider.release is veiled.release:
            return replace(first, veiled=wider)
        again = self._ask(wider)
        if again.rationale is not None:
            return again
        return self._keep_first(first.rationale, again)

    def control_code(self) -> ControlCode:
        """Scores of the released frame, which is what the reasoner sees, or configured guidance."""
        classifiers, guidance = self.assessment.classifiers, self.context.config.guidance
        if guidance is not None:
            keys = [each.category.key for each in classifiers]
            return ControlCode({key: guidance.get(key, 0.0) for key in keys})
        return ControlCode.from_scores(
            {
                each.category.key: float(score)
                for each, score in zip(classifiers, self.assessment.frame_scores, strict=True)
            },
            {each.category.key: each.category.threshold for each in classifiers},
        )

    def _ask(self, veiled: VeiledFrame) -> RationaleResult:
        try:
            with self.context.stopwatch("reason"):
                rationale = self._rationale(veiled)
        except BOUNDARY_ERRORS as error:
            sentence = f"no rationale was written: {describe_error(error)}"
            return RationaleResult(None, veiled, (sentence,))
        sentence = not_assessed(rationale, veiled=bool(self.assessment.flagged))
        return RationaleResult(rationale, veiled, (sentence,) if sentence else ())

    def _rationale(self, veiled: VeiledFrame) -> Rationale:
        assessment = self.assessment
        results = category_results(assessment, veiled, self.context)
        flagged = {result.key for result in results if result.flagged}
        questions = [
            (each.category.key, question.text)
            for each in assessment.classifiers
            if self.context.config.questions == "all" or each.category.key in flagged
            for question in each.category.questions
        ]
        response = ask_with_grounding(
            self.reasoner,
            assessment.frame.pixels,
            veiled.release.pixels
            if flagged
            else None,  # without a veil there is nothing to compare
            [text for _, text in questions],
            self.control_code(),
        )
        answers = tuple(
            _answer(key, grounded)
            for (key, _), grounded in zip(questions, response.answers, strict=True)
        )
        draft = Rationale(
            text="",
            description=response.description,
            description_reason=response.description_reason,
            answers=answers,
            control=response.code.to_dict(),
            model=self.reasoner.info.name,
        )
        return self._with_sentences(draft, veiled)

    def _with_sentences(self, rationale: Rationale, veiled: VeiledFrame) -> Rationale:
        """The rationale with the text for the moderator and the statement for the poster."""
        results = category_results(self.assessment, veiled, self.context)
        source = self.assessment.source(self.assessment.frame.name)
        found = disagreements(results, rationale.answers)
        return replace(
            rationale,
            disagreements=found,
            text=narrative.rationale(
                results,
                rationale.answers,
                rationale.description,
                whole=veiled.whole_image,
                source=source,
                disagreements=found,
            ),
            statement=narrative.statement(
                results,
                rationale.answers,
                whole=veiled.whole_image,
                model=rationale.model,
                source=source,
                disagreements=found,
            ),
        )

    def _veil_answers(self, veiled: VeiledFrame, rationale: Rationale) -> VeiledFrame:
        """A wider veil under which every answer is no; with a warning where there is none."""
        if veiled.whole_image or not self.context.config.veil_answers:
            return veiled
        still_yes = [
            answer.question
            for answer in rationale.answers
            if answer.yes and (answer.p_yes_veiled or 0) >= 0.5
        ]
        if not still_yes:
            return veiled
        try:
            with self.context.stopwatch("answers"):
                more = self._mask_for_answers(veiled, still_yes, ControlCode(rationale.control))
                wider = None if more is None else widen(veiled, more, self.assessment, self.context)
        except BOUNDARY_ERRORS as error:
            warning = f"what is still answered yes could not be veiled: {describe_error(error)}"
            return replace(veiled, warnings=(*veiled.warnings, warning))
        if wider is not None:
            return wider
        warning = "no veil was found under which every answer is no"
        return replace(veiled, warnings=(*veiled.warnings, warning))

    def _mask_for_answers(
        self, veiled: VeiledFrame, questions: Sequence[str], code: ControlCode
    ) -> Mask | None:
        """The mask to add, by the search that found the veil; its score is the largest P(yes)."""

        def score(images: Images) -> Scores:
            count = len(images)
            rows = self.reasoner.answer(
                list(images), [questions] * count, [code] * count, text=False
            )
            return np.array(
                [max(UNANSWERED if a.p_yes is None else a.p_yes for a in row) for row in rows],
                float,
            )

        # The veiled image is searched again, so the new mask comes on top of the old one.
        fill, config = veiled.fill, self.context.config
        small = shrink_image(self.assessment.frame.pixels, config.search_size)
        image = fill(small, resize_mask(veiled.mask, *small.shape[:2])[None])[0]
        labels = self.context.components.segmentation.method(small)
        # Definition 2: a region matters as much as hiding it alone lowers the score.
        alone = np.stack([fill(image, (labels == n)[None])[0] for n in np.unique(labels)])
        problem = SearchProblem(
            labels, -score(alone), threshold=0.5, target=0.5, max_regions=config.max_regions
        )
        evaluator = MaskEvaluator(image, score, fill, max_evaluations=config.max_evaluations)
        found = self.context.components.search.method(problem, evaluator)
        if found.outcome != "found":
            return None
        return resize_mask(found.mask, *veiled.mask.shape)

    def _keep_first(self, first: Rationale, failed: RationaleResult) -> RationaleResult:
        """The first answers with the wider veil; what it was widened for is not known again."""
        # A grounded answer stays so under a wider veil; for the others the score is unknown.
        answers = tuple(
            answer if answer.grounded else replace(answer, p_yes_veiled=None)
            for answer in first.answers
        )
        kept = self._with_sentences(replace(first, answers=answers), failed.veiled)
        sentence = (
            "after more was veiled for its answers, the reasoner could not be asked again: "
            f"{failed.not_assessed[0]}"
        )
        missing = not_assessed(kept, veiled=True)
        return RationaleResult(kept, failed.veiled, (sentence, *([missing] if missing else [])))


def disagreements(
    categories: Sequence[CategoryResult], answers: Sequence[Answer]
) -> tuple[Disagreement, ...]:
    """Categories flagged by the classifier with only no for an answer, or not flagged with a yes.

    Both are compared on the released frame, which is the one that the reasoner saw: a no about it
    does not contradict a flag of another frame. Questions without an answer do not count.
    """
    found = []
    for category in categories:
        assessed = [a for a in answers if a.category == category.key and a.p_yes is not None]
        yes = sum(answer.yes for answer in assessed)
        flagged = category.counterfactual.score_before >= category.threshold
        if assessed and flagged != (yes > 0):
            found.append(Disagreement(category.key, flagged, yes, len(assessed)))
    return tuple(found)


def not_assessed(rationale: Rationale, *, veiled: bool) -> str:
    """A sentence on what the reasoner left unanswered; empty if it answered everything.

    Args:
        rationale: what it said.
        veiled: every yes was asked again about the veiled image.
    """
    missed = [answer for answer in rationale.answers if answer.p_yes is None]
    reason = rationale.description_reason or "no reason was given"
    why = missed[0].reason or "no reason was given" if missed else reason
    parts = []
    if not rationale.description:
        # One reason is told once: a server that is gone answers nothing.
        parts.append(
            "gave no description" + (f" ({reason})" if not missed or why != reason else "")
        )
    if missed:
        parts.append(f"did not answer {narrative.pluralize(len(missed), 'question')} ({why})")
    again = sum(answer.yes and answer.p_yes_veiled is None for answer in rationale.answers)
    if veiled and again:
        parts.append(
            f"did not answer {narrative.pluralize(again, 'question')} again under the veil"
        )
    return f"the reasoner {narrative.join_list(parts)}; that is not a no" if parts else ""


def _answer(category: str, grounded: GroundedAnswer) -> Answer:
    before = grounded.original
    return Answer(
        category=category,
        question=before.question,
        answer=before.text,
        p_yes=before.p_yes,
        p_yes_veiled=grounded.p_yes_veiled,
        grounded=grounded.grounded,
        reason=before.reason,
    )
