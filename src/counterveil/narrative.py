"""A record's facts as sentences for people; every claim is read from a field, and none is added."""

from __future__ import annotations

from collections.abc import Sequence

from counterveil.record import Answer, CategoryResult, Source

_PROGRAMS = ("python", "worker")
_REPOSITORIES = ("hub", "zeroshot", "hf", "blip")


def rationale(
    categories: Sequence[CategoryResult],
    answers: Sequence[Answer],
    description: str,
    *,
    whole: bool,
    source: Source | None = None,
) -> str:
    """For a moderator: what was flagged, what was seen, what was veiled; the model's words quoted.

    Args:
        categories: all of the record's.
        answers: to the moderator's questions.
        description: the model's.
        whole: the whole image is veiled.
        source: the file; where it holds several frames, they are told apart.
    """
    flagged = [category for category in categories if category.flagged]
    said = [_flagged(flagged, source) if flagged else _unflagged(categories)]
    said.append(f"The model says: “{description}”" if description else "No description was given.")
    said += _answered(answers)
    if flagged:
        said.append(_veiled(flagged, whole=whole))
        said += _released(source)
        said += _grounded(answers)
    elif any(answer.yes for answer in answers):
        said.append("The classifiers and the model disagree: have a person look at this image.")
    return " ".join(said)


def statement(
    categories: Sequence[CategoryResult],
    answers: Sequence[Answer],
    *,
    whole: bool,
    model: str,
    source: Source | None = None,
) -> str:
    """A statement of reasons for the person who posted the image; empty where nothing was flagged.

    It tells what was decided, on which ground and facts, that it was decided by a machine, and
    that a person can be asked (compare Regulation (EU) 2022/2065, article 17). Models are named
    as :func:`public` does.
    """
    flagged = [category for category in categories if category.flagged]
    if not flagged:
        return ""
    found = list_of([_rated(category, source) for category in flagged])
    area = max(category.counterfactual.area_fraction for category in flagged)
    decided = (
        "Your image is hidden as a whole."
        if whole
        else f"The parts of your image that this is about, {percent(area)} of it, are hidden; the "
        "rest is unchanged."
    )
    decided = " ".join([decided, *_released(source)])
    keys = {category.key for category in flagged}
    # What an answer rests on must be what was hidden, before it is held against anyone.
    seen = [a.answer for a in answers if a.category in keys and a.yes and a.answer and a.grounded]
    specs = [*(c.classifier for c in flagged if c.classifier), model]
    models = list(dict.fromkeys(map(public, specs)))
    facts = f" The automated description of what was seen: {' '.join(dict.fromkeys(seen))}"
    return (
        f"{decided} The ground is our policy on: {list_of([title(c) for c in flagged])}. The image "
        f"was rated by automated means: {found}.{facts if seen else ''} The decision was made by "
        f"software ({list_of(models)}), without a person. If you think that it is wrong, ask "
        "for a review by a person."
    )


def public(name: str) -> str:
    """A model's name without what is nobody's business outside: hosts, folders, commands.

    Args:
        name: as :class:`counterveil.types.ModelInfo` has it.
    """
    scheme, colon, argument = name.partition(":")
    if not colon:
        return _last(name)
    if scheme in _PROGRAMS:
        return "a program of our own"
    if scheme == "chat":
        return _last(argument.rpartition("#")[2]) if "#" in argument else "a model of our own"
    argument = argument.partition("#")[0]
    local = scheme not in _REPOSITORIES or argument[:1] in "/.~" or argument.count("/") > 1
    return f"{scheme}:{_last(argument) if local else argument}"


def _last(path: str) -> str:
    """The last part of what may be a path."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def title(category: CategoryResult) -> str:
    """The category's name for people."""
    return category.title or category.key


def percent(value: float) -> str:
    """A share or probability, never rounded to a certainty that it is not."""
    if 0 < value < 0.001:
        return "under 0.1 %"
    if 0.999 < value < 1:
        return "over 99.9 %"
    return f"{100 * value:.1f} %"


def count(number: int, thing: str) -> str:
    """``1 region``, ``2 regions``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def list_of(items: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def frame_of(category: CategoryResult, source: Source | None) -> str:
    """``in frame 2`` (counted from 0), where a file holds several; empty where it holds one."""
    return f"in frame {category.frame}" if source is not None and source.frames > 1 else ""


def _rated(category: CategoryResult, source: Source | None) -> str:
    where = frame_of(category, source)
    return f"{title(category)} ({percent(category.score)}{f' {where}' if where else ''})"


def _released(source: Source | None) -> list[str]:
    if source is None or source.frames == 1:
        return []
    return [f"Of its {source.frames} frames, counted from 0, only frame {source.frame} is shown."]


def _flagged(flagged: Sequence[CategoryResult], source: Source | None) -> str:
    return f"Flagged as {list_of([_rated(category, source) for category in flagged])}."


def _unflagged(categories: Sequence[CategoryResult]) -> str:
    top = max(categories, key=lambda c: c.score / c.threshold)
    return f"No category flagged this image; {title(top)} came closest, at {percent(top.score)}."


def _answered(answers: Sequence[Answer]) -> list[str]:
    """The attributes seen, each answer's words once, and what was not assessed."""
    yes = [answer for answer in answers if answer.yes]
    assessed = sum(answer.p_yes is not None for answer in answers)
    words = list(dict.fromkeys(answer.answer for answer in yes if answer.answer))
    said = []
    if yes:
        seen = " ".join(f"“{text}”" for text in words)
        of = f"{count(len(yes), 'question')} of {assessed}"
        said.append(f"It answers yes to {of}{': ' + seen if seen else '.'}")
    elif assessed:
        said.append(f"It answers yes to none of {count(assessed, 'question')}.")
    missed = len(answers) - assessed
    if missed and not assessed:
        said.append(f"None of {count(missed, 'question')} could be assessed; that is not a no.")
    elif missed:
        said.append(f"{count(missed, 'question')} could not be assessed.")
    return said


def _veiled(flagged: Sequence[CategoryResult], *, whole: bool) -> str:
    area = max(category.counterfactual.area_fraction for category in flagged)
    falls = list_of(
        [
            f"{title(c)} from {percent(c.counterfactual.score_before)} to "
            f"{percent(c.counterfactual.score_after)}"
            for c in flagged
            if c.counterfactual.outcome != "not_needed"  # flagged in a frame that is not shown
        ]
    )
    what = "the whole image" if whole else f"{percent(area)} of the image"
    return f"The veil covers {what} and takes {falls}."


def _grounded(answers: Sequence[Answer]) -> list[str]:
    yes = [answer for answer in answers if answer.yes]
    again = [answer for answer in yes if answer.p_yes_veiled is not None]
    still = [answer for answer in again if not answer.grounded]
    said = []
    if again:
        said.append(f"Of these answers it takes away {len(again) - len(still)} of {len(yes)}.")
    if yes and not again:
        said.append("None of these answers could be assessed again under the veil.")
    elif len(again) < len(yes):
        said.append(f"{len(yes) - len(again)} could not be assessed again under the veil.")
    if still:
        said.append(
            f"Still yes under the veil: {list_of([f'“{answer.question}”' for answer in still])}."
        )
    return said
