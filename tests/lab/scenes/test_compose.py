"""Scenes: what is drawn is what is said to be there, and nothing else gives it away."""

from __future__ import annotations

import numpy as np
import pytest

from counterveil.categories import CATEGORIES, PAPER
from counterveil.errors import UsageError
from counterveil.lab.scenes import CATEGORY_KEYS, KINDS, draw_scene
from counterveil.lab.scenes.backgrounds import _PHOTOGRAPHS, SPLITS
from counterveil.lab.scenes.stage import LEAST_VISIBLE


def scenes(count, seed=5, **options):
    return [draw_scene(seed, index, **options) for index in range(count)]


def test_the_same_arguments_draw_the_same_scene():
    first, again = draw_scene(3, 4), draw_scene(3, 4)
    assert (first.pixels == again.pixels).all()
    assert (first.mask() == again.mask()).all()
    assert first.answers == again.answers


def test_seeds_indices_and_splits_draw_others():
    drawn = [draw_scene(3, 4), draw_scene(3, 5), draw_scene(4, 4), draw_scene(3, 4, split="train")]
    assert len({scene.pixels.tobytes() for scene in drawn}) == len(drawn)


def test_labels_follow_from_what_is_drawn():
    for scene in scenes(60):
        unsafe = {thing.category for thing in scene.objects if thing.unsafe}
        assert scene.labels == {key: key in unsafe for key in CATEGORY_KEYS}
        assert any(scene.labels.values()) == (scene.kind == "unsafe")
        assert scene.mask().any() == (scene.kind == "unsafe")


def test_unsafe_area_is_within_the_promise():
    areas = [scene.mask().mean() for scene in scenes(80, kind="unsafe")]
    assert min(areas) >= 0.01
    assert max(areas) <= 0.25


def test_kinds_of_scenes_hold_what_they_say():
    assert all(not s.objects for s in scenes(10, kind="safe"))
    for scene in scenes(20, kind="lookalike"):
        assert not any(thing.unsafe for thing in scene.objects)
    assert any(scene.objects for scene in scenes(20, kind="lookalike"))
    for scene in scenes(20, kind="unsafe", category="self_harm"):
        assert scene.labels["self_harm"]
        assert {thing.category for thing in scene.objects} == {"self_harm"}


def test_numbers_of_things_say_nothing():
    """As many things, and as much of the image, in unsafe scenes as in those of twins."""
    unsafe, twins = scenes(300, kind="unsafe"), scenes(300, kind="lookalike")
    counts = [np.mean([len(scene.objects) for scene in drawn]) for drawn in (unsafe, twins)]
    assert abs(counts[0] - counts[1]) < 0.3


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right"])
def test_things_are_put_where_asked(edge):
    for scene in scenes(12, kind="unsafe", edge=edge):
        first = next(thing for thing in scene.objects if thing.unsafe)
        row = {"top": first.mask[0], "bottom": first.mask[-1],
               "left": first.mask[:, 0], "right": first.mask[:, -1]}[edge]  # fmt: skip
        assert row.any()


def test_things_stay_recognisable():
    for scene in scenes(80):
        for thing in scene.objects:
            assert thing.visible >= LEAST_VISIBLE
            assert thing.mask.any()


def test_masks_do_not_overlap_and_lie_on_what_was_drawn():
    for scene in scenes(40, kind="unsafe"):
        assert sum(thing.mask.astype(int) for thing in scene.objects).max() == 1
        # What is drawn differs from what is around it.
        inside = scene.pixels[scene.mask()].astype(float).std(axis=0).sum()
        assert inside > 0


def test_larger_scenes_and_other_shapes():
    scene = draw_scene(1, 1, size=(300, 500), kind="unsafe")
    assert scene.pixels.shape == (300, 500, 3)
    assert scene.mask().shape == (300, 500)


def test_each_unsafe_kind_has_a_twin_drawn_alike():
    kinds = list(KINDS.values())
    for unsafe, twin in zip(kinds[::2], kinds[1::2], strict=True):
        assert unsafe.unsafe
        assert not twin.unsafe
        for trait in ("category", "turn", "smallest", "tell"):
            assert getattr(unsafe, trait) == getattr(twin, trait), (unsafe.name, trait)
    for key in CATEGORY_KEYS:
        assert sum(kind.unsafe and kind.category == key for kind in kinds) >= 6


def test_every_kind_is_drawn():
    drawn = {thing.kind for scene in scenes(700) for thing in scene.objects}
    assert drawn == set(KINDS)


def test_splits_share_no_photograph():
    names = [name for split in SPLITS for name in _PHOTOGRAPHS[split]]
    assert len(names) == len(set(names))


def test_every_question_is_answered_and_truthfully():
    questions = {q.key: q.text for key in PAPER for q in CATEGORIES[key].questions}
    for scene in scenes(40):
        answers = {answer.key: answer for answer in scene.answers}
        assert {"happening", "people"} < set(answers)
        for key, text in questions.items():
            shown = [KINDS[t.kind].phrase for t in scene.objects if key in KINDS[t.kind].yes]
            assert answers[key].question == text
            assert answers[key].yes == bool(shown)
            assert all(phrase in answers[key].answer for phrase in shown)
        for thing in scene.objects:
            assert KINDS[thing.kind].phrase in answers["happening"].answer


def test_neither_palette_nor_layout_gives_it_away():
    """A classifier of colours and coarse places does no better than guessing."""
    from sklearn.linear_model import LogisticRegression

    def features(scene):
        pixels = scene.pixels.astype(float)
        cells = pixels.reshape(8, 28, 8, 28, 3)
        histogram = [np.histogram(pixels[..., c], 16, (0, 256))[0] / 3136 for c in range(3)]
        return np.concatenate([cells.mean((1, 3)).ravel() / 255, cells.std((1, 3)).ravel() / 64,
                               *histogram])  # fmt: skip

    drawn = scenes(600, kind="unsafe") + scenes(600, seed=6, kind="lookalike")
    x, y = np.array([features(s) for s in drawn]), np.array([s.kind == "unsafe" for s in drawn])
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:800], order[800:]
    model = LogisticRegression(C=0.02, max_iter=500).fit(x[train], y[train])
    assert model.score(x[test], y[test]) < 0.6


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"split": "all"}, "split"),
        ({"category": "violence"}, "category"),
        ({"kind": "both"}, "kind"),
        ({"edge": "corner"}, "edge"),
        ({"size": (32, 300)}, "64"),
    ],
)
def test_mistakes_are_answered(options, word):
    with pytest.raises(UsageError, match=word):
        draw_scene(0, 0, **options)
