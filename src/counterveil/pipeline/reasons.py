"""Ask a reasoner about a veiled frame, and veil more where that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from counterveil import narrative
from counterveil.categories import ControlCode
from counterveil.pipeline.answers import answered_by
from counterveil.pipeline.components import Components, Settings
from counterveil.pipeline.failures import CAUGHT, told
from counterveil.pipeline.frames import Frames
from counterveil.pipeline.job import Job
from counterveil.pipeline.rationale import explain, not_assessed
from counterveil.pipeline.results import results
from counterveil.pipeline.timing import Stopwatch
from counterveil.reasoning.interfaces import Reasoner
from counterveil.record import Rationale


@dataclass(frozen=True)
class Reasons:
    """What a reasoner said.

    Attributes:
        rationale: its words; ``None`` where there are none.
        doubts: what was not assessed.
    """

    rationale: Rationale | None
    doubts: tuple[str, ...] = ()


class Asking:
    """Asks about one veiled frame. No failure here loses the veil.

    Args:
        reasoner: who is asked.
        frames: of the file.
        job: has veiled the released frame; is made to veil more.
        methods: how.
        settings: whose questions, whether more is veiled for the answers.
        stopwatch: told what is under way.
    """

    def __init__(
        self,
        reasoner: Reasoner,
        frames: Frames,
        job: Job,
        methods: Components,
        settings: Settings,
        stopwatch: Stopwatch,
    ) -> None:
        self._reasoner = reasoner
        self._frames = frames
        self._job = job
        self._methods = methods
        self._settings = settings
        self._stopwatch = stopwatch

    def reasons(self) -> Reasons:
        """Ask; veil what is still answered by yes, where that is wanted, and ask again."""
        first = self._ask()
        if first.rationale is None or not self._veil_more(first.rationale):
            return first
        again = self._ask()
        return again if again.rationale is not None else self._kept(first.rationale, again)

    def _ask(self) -> Reasons:
        frames, job = self._frames, self._job
        try:
            with self._stopwatch("reason"):
                rationale = explain(
                    self._reasoner,
                    job.photo.pixels,
                    job.released.pixels,
                    [watch.category for watch in frames.watches],
                    results(frames, job, self._methods, self._settings),
                    code=self._code(),
                    asked=self._settings.questions,
                    whole=job.whole,
                    source=frames.source(job.photo.name),
                )
        except CAUGHT as error:
            return Reasons(None, (f"no rationale was written: {told(error)}",))
        doubt = not_assessed(rationale, veiled=bool(frames.flagged))
        return Reasons(rationale, (doubt,) if doubt else ())

    def _code(self) -> ControlCode:
        """The released frame's scores, since that is what the reasoner sees; or as set by hand."""
        watches = self._frames.watches
        by_hand = self._settings.guidance
        if by_hand is not None:
            return ControlCode({w.category.key: by_hand.get(w.category.key, 0.0) for w in watches})
        scores = self._frames.scores[self._frames.worst]
        return ControlCode.from_scores(
            {w.category.key: float(s) for w, s in zip(watches, scores, strict=True)},
            {w.category.key: w.category.threshold for w in watches},
        )

    def _veil_more(self, rationale: Rationale) -> bool:
        """Whether more was veiled for what is still answered by yes."""
        job = self._job
        if job.whole or not self._settings.answers:
            return False
        still = [a.question for a in rationale.answers if a.yes and (a.p_yes_veiled or 0) >= 0.5]
        if not still:
            return False
        try:
            if self._veil(still, ControlCode(rationale.control)):
                return True
        except CAUGHT as error:
            job.warnings.append(f"what is still answered by yes could not be veiled: {told(error)}")
            return False
        job.warnings.append("no veil was found under which every answer is no")
        return False

    def _veil(self, questions: Sequence[str], code: ControlCode) -> bool:
        job = self._job
        with self._stopwatch("answers"):
            more = answered_by(
                self._reasoner,
                job.photo.pixels,
                job.mask,
                questions,
                code,
                fill=job.fill,
                methods=self._methods,
                settings=self._settings,
            )
        return more is not None and job.veil_also(more)

    def _kept(self, first: Rationale, failed: Reasons) -> Reasons:
        """The first words with the veil as it is now; what it was widened for is not known."""
        answers = tuple(
            answer if answer.grounded else replace(answer, p_yes_veiled=None)
            for answer in first.answers
        )
        made = results(self._frames, self._job, self._methods, self._settings)
        source = self._frames.source(self._job.photo.name)
        kept = replace(
            first,
            answers=answers,
            text=narrative.rationale(made, answers, first.description, whole=False, source=source),
            statement=narrative.statement(
                made, answers, whole=False, model=first.model, source=source
            ),
        )
        doubt = "after more was veiled for its answers, the reasoner could not be asked again"
        said = not_assessed(kept, veiled=True)
        return Reasons(kept, (f"{doubt}: {failed.doubts[0]}", *([said] if said else [])))
