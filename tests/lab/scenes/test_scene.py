"""Scenes agree with their ground truth, and only shape distinguishes unsafe objects from twins."""

from __future__ import annotations

import numpy as np
import pytest

from counterveil.categories import CATEGORIES, PAPER_CATEGORIES
from counterveil.errors import UsageError
from counterveil.lab.scenes import CATEGORY_KEYS, OBJECT_KINDS, draw_scene
from counterveil.lab.scenes.backgrounds import PHOTOGRAPHS, SPLITS
from counterveil.lab.scenes.scene_canvas import MIN_VISIBLE_FRACTION


def scenes(count, seed=5, **options):
    return [draw_scene(seed, index, **options) for index in range(count)]


def test_the_same_arguments_draw_the_same_scene():
    first, again = draw_scene(3, 4), draw_scene(3, 4)
    assert (first.pixels == again.pixels).all()
    assert (first.mask() == again.mask()).all()
    assert first.answers == again.answers


def test_another_seed_index_or_split_draws_another_scene():
    drawn = [draw_scene(3, 4), draw_scene(3, 5), draw_scene(4, 4), draw_scene(3, 4, split="train")]
    assert len({scene.pixels.tobytes() for scene in drawn}) == len(drawn)


def test_labels_and_masks_follow_from_the_objects():
    for scene in scenes(60):
        unsafe = {item.category for item in scene.objects if item.unsafe}
        assert scene.labels == {key: key in unsafe for key in CATEGORY_KEYS}
        assert any(scene.labels.values()) == (scene.kind == "unsafe")
        assert scene.mask().any() == (scene.kind == "unsafe")


def test_unsafe_area_is_between_one_and_25_percent():
    areas = [scene.mask().mean() for scene in scenes(80, kind="unsafe")]
    assert min(areas) >= 0.01
    assert max(areas) <= 0.25


def test_scene_kinds_decide_which_objects_are_shown():
    assert all(not scene.objects for scene in scenes(10, kind="safe"))
    lookalikes = scenes(20, kind="lookalike")
    assert not any(item.unsafe for scene in lookalikes for item in scene.objects)
    assert any(scene.objects for scene in lookalikes)
    for scene in scenes(20, kind="unsafe", category="self_harm"):
        assert scene.labels["self_harm"]
        assert {item.category for item in scene.objects} == {"self_harm"}


def test_unsafe_and_lookalike_scenes_have_equally_many_objects():
    unsafe, twins = scenes(300, kind="unsafe"), scenes(300, kind="lookalike")
    counts = [np.mean([len(scene.objects) for scene in drawn]) for drawn in (unsafe, twins)]
    assert abs(counts[0] - counts[1]) < 0.3


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right"])
def test_the_first_unsafe_object_touches_the_requested_edge(edge):
    for scene in scenes(12, kind="unsafe", position=edge):
        first = next(item for item in scene.objects if item.unsafe)
        line = {"top": first.mask[0], "bottom": first.mask[-1],
                "left": first.mask[:, 0], "right": first.mask[:, -1]}[edge]  # fmt: skip
        assert line.any()


def test_objects_stay_recognisable():
    for scene in scenes(80):
        for item in scene.objects:
            assert item.visible >= MIN_VISIBLE_FRACTION
            assert item.mask.any()


def test_object_masks_do_not_overlap_and_are_not_uniform():
    for scene in scenes(40, kind="unsafe"):
        assert sum(item.mask.astype(int) for item in scene.objects).max() == 1
        assert scene.pixels[scene.mask()].astype(float).std(axis=0).sum() > 0


def test_size_is_height_and_width():
    scene = draw_scene(1, 1, size=(300, 500), kind="unsafe")
    assert scene.pixels.shape == (300, 500, 3)
    assert scene.mask().shape == (300, 500)


def test_each_unsafe_kind_has_a_twin_drawn_alike():
    kinds = list(OBJECT_KINDS.values())
    for unsafe, twin in zip(kinds[::2], kinds[1::2], strict=True):
        assert unsafe.unsafe
        assert not twin.unsafe
        for name in ("category", "max_rotation", "min_area", "discriminative_box", "has_text"):
            assert getattr(unsafe, name) == getattr(twin, name), (unsafe.name, name)
    for key in CATEGORY_KEYS:
        assert sum(kind.unsafe and kind.category == key for kind in kinds) >= 6


def test_every_kind_is_drawn():
    assert {item.kind for scene in scenes(700) for item in scene.objects} == set(OBJECT_KINDS)


def test_splits_share_no_photograph():
    names = [name for split in SPLITS for name in PHOTOGRAPHS[split]]
    assert len(names) == len(set(names))


def test_reference_answers_are_complete_and_true():
    questions = {q.key: q.text for key in PAPER_CATEGORIES for q in CATEGORIES[key].questions}
    for scene in scenes(40):
        answers = {answer.key: answer for answer in scene.answers}
        kinds = [OBJECT_KINDS[item.kind] for item in scene.objects]
        assert set(answers) == {"happening", "people", *questions}
        for key, text in questions.items():
            shown = [kind.caption for kind in kinds if key in kind.questions]
            assert answers[key].question == text
            assert answers[key].yes == bool(shown)
            assert all(caption in answers[key].answer for caption in shown)
        assert all(kind.caption in answers["happening"].answer for kind in kinds)


def test_neither_palette_nor_layout_reveals_the_label():
    """A classifier of colours and coarse layout does no better than guessing."""
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
    ("options", "message"),
    [
        ({"split": "all"}, "unknown split 'all'.*train, validation, test"),
        ({"category": "violence"}, "unknown category 'violence'.*self_harm"),
        ({"kind": "both"}, "unknown kind 'both'.*lookalike"),
        ({"position": "corner"}, "unknown position 'corner'.*centre"),
        ({"size": (32, 300)}, "at least 64 pixels"),
    ],
)
def test_wrong_arguments_are_reported_with_the_choices(options, message):
    with pytest.raises(UsageError, match=message):
        draw_scene(0, 0, **options)
