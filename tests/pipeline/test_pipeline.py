from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from counterveil import segmentation
from counterveil.errors import UsageError
from counterveil.images import decode_clean, encode_png, load
from counterveil.pipeline import NamedMethod, Pipeline
from counterveil.record import Record, validate
from tests.corpus import animated_files, broken_files, whole_files
from tests.pipeline.detectors import (
    BLUE,
    RED,
    Broken,
    ColourDetector,
    Constant,
    make_pipeline,
    scored,
    square,
)
from tests.segmentation.checking import photograph

RED_SQUARES = scored("red", ColourDetector(RED))


def veil_of(examination):
    return load(examination.mask)[0].pixels[..., 0] > 127


def test_an_unsafe_region_is_veiled_and_every_other_pixel_is_as_it_was():
    image = square()
    examination = make_pipeline(RED_SQUARES).examine(encode_png(image), name="a/photo.png")
    veil, veiled = veil_of(examination), decode_clean(examination.veiled)
    inside = np.zeros(image.shape[:2], bool)
    inside[30:54, 40:64] = True
    assert (veil & inside).sum() > 0.95 * inside.sum()
    assert veil.sum() < 2 * inside.sum()
    assert (veiled[~veil] == image[~veil]).all()
    assert (veiled[veil] == 0).all()


def test_the_record_tells_what_was_done():
    data = encode_png(square())
    examination = make_pipeline(RED_SQUARES).examine(data, name="a/photo.png")
    record = examination.record
    validate(record.to_dict())
    assert record.status == "ok"
    assert record.source.name == "a/photo.png"
    assert record.source.sha256 == hashlib.sha256(data).hexdigest()
    assert record.outputs.veiled.name == "photo.veiled.png"
    assert record.outputs.veiled.sha256 == hashlib.sha256(examination.veiled).hexdigest()
    assert record.outputs.mask.sha256 == hashlib.sha256(examination.mask).hexdigest()
    [category] = record.categories
    result = category.counterfactual
    assert category.flagged
    assert result.outcome == "found"
    assert result.verified
    assert result.irreducible
    assert result.score_after < 0.1 < 0.5 <= result.score_before
    assert result.area_fraction == pytest.approx(veil_of(examination).mean())
    assert "a test" in record.warnings
    assert Record.from_dict(record.to_dict()) == record


def test_the_score_after_is_that_of_the_written_bytes():
    examination = make_pipeline(RED_SQUARES).examine(encode_png(square()))
    written = load(examination.veiled)[0].pixels
    assert examination.record.categories[0].counterfactual.score_after == pytest.approx(
        float(ColourDetector(RED).score(written[None])[0])
    )


class Left(ColourDetector):
    """ColourDetector a colour in the left half of the image alone."""

    def score(self, images):
        return super().score(images[:, :, : images.shape[2] // 2])


def bar():
    image = square()
    image[30:54, 40:104] = RED
    return image


def test_the_rest_of_an_object_is_veiled_too_and_told_apart():
    inside = np.zeros(bar().shape[:2], bool)
    inside[30:54, 40:90] = True
    examination = make_pipeline(scored("left", Left(RED))).examine(encode_png(bar()))
    result = examination.record.categories[0].counterfactual
    assert veil_of(examination)[inside].mean() > 0.95
    assert result.verified
    assert result.irreducible
    core = make_pipeline(scored("left", Left(RED)), completion="none")
    alone = core.examine(encode_png(bar()))
    assert veil_of(alone)[inside].mean() < 0.8
    assert (veil_of(examination) >= veil_of(alone)).all()
    assert alone.record.categories[0].counterfactual.completed_fraction == 0
    rest = veil_of(examination).mean() - veil_of(alone).mean()
    assert result.completed_fraction == pytest.approx(rest)


class Startled(Left):
    """Finds black at the far end of the bar unsafe."""

    def score(self, images):
        black = (images[:, 30:54, 92:100].sum(axis=-1) == 0).mean(axis=(1, 2))
        return np.where(black > 0.5, 0.9, super().score(images))


def test_a_whole_object_whose_veil_provokes_the_classifier_is_not_completed():
    pipeline = make_pipeline(scored("left", Startled(RED)), segmentation="slic")
    examination = pipeline.examine(encode_png(bar()))
    result = examination.record.categories[0].counterfactual
    assert result.outcome == "found"
    assert result.verified
    assert result.completed_fraction == 0


def test_a_safe_image_is_released_as_it_is():
    image = square(BLUE)
    examination = make_pipeline(RED_SQUARES).examine(encode_png(image))
    [category] = examination.record.categories
    assert not category.flagged
    assert category.counterfactual.outcome == "not_needed"
    assert not veil_of(examination).any()
    assert (decode_clean(examination.veiled) == image).all()


def test_what_cannot_be_hidden_is_veiled_whole_and_not_called_safe():
    examination = make_pipeline(scored("all", Constant(0.9))).examine(encode_png(square()))
    [category] = examination.record.categories
    assert category.counterfactual.outcome == "not_found"
    assert not category.counterfactual.verified
    assert not category.counterfactual.irreducible
    assert examination.record.whole_image_veiled
    assert (decode_clean(examination.veiled) == 0).all()
    assert any("whole image" in warning for warning in examination.record.warnings)


def test_a_whole_image_is_never_merely_blurred():
    pipeline = make_pipeline(scored("all", Constant(0.9)), fill="blur")
    examination = pipeline.examine(encode_png(square()))
    assert (decode_clean(examination.veiled) == 0).all()
    assert examination.record.outputs.veiled.fill == "black"


def test_a_blur_is_marked_as_a_risk():
    examination = make_pipeline(RED_SQUARES, fill="blur").examine(encode_png(square()))
    assert (
        examination.record.outputs.veiled.reversible_risk or examination.record.whole_image_veiled
    )


def test_two_categories_share_one_irreducible_veil():
    image = square(BLUE, at=(10, 10), side=18, image=square(RED, at=(60, 90), side=20))
    examination = make_pipeline(RED_SQUARES, scored("blue", ColourDetector(BLUE))).examine(
        encode_png(image)
    )
    veiled = decode_clean(examination.veiled)
    for category, sees in zip(examination.record.categories, (RED, BLUE), strict=True):
        assert category.flagged
        assert category.counterfactual.outcome == "found"
        assert category.counterfactual.verified
        assert ColourDetector(sees).score(veiled[None])[0] < 0.1
    assert veil_of(examination).mean() < 0.25


def test_a_large_image_is_searched_small_and_verified_large():
    image = square(size=(900, 1200), at=(300, 500), side=200)
    pipeline = make_pipeline(RED_SQUARES, search_size=128)
    examination = pipeline.examine(encode_png(image))
    veil, veiled = veil_of(examination), decode_clean(examination.veiled)
    assert veil.shape == image.shape[:2]
    assert examination.record.categories[0].counterfactual.verified
    assert (veiled[~veil] == image[~veil]).all()


def test_a_budget_too_small_is_an_honest_not_found():
    image = square(BLUE, at=(10, 10), side=12, image=square(RED, at=(4, 4), side=80))
    pipeline = make_pipeline(RED_SQUARES, max_regions=1, max_evaluations=80)
    examination = pipeline.examine(encode_png(image))
    assert examination.record.categories[0].counterfactual.outcome == "not_found"
    assert examination.record.whole_image_veiled


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right"])
def test_the_border_is_looked_at(edge):
    at = {"top": (0, 50), "bottom": (76, 50), "left": (40, 0), "right": (40, 108)}[edge]
    image = square(at=at, side=20)
    examination = make_pipeline(RED_SQUARES).examine(encode_png(image))
    veil = veil_of(examination)
    assert veil[at[0] : at[0] + 20, at[1] : at[1] + 20].mean() > 0.95
    assert examination.record.categories[0].counterfactual.verified


@pytest.mark.parametrize("name", broken_files())
def test_a_broken_file_is_a_record_and_not_an_exception(name):
    data = broken_files()[name]
    examination = make_pipeline(RED_SQUARES).examine(data, name=name)
    assert examination.record.status == "error"
    assert examination.record.error
    assert examination.veiled is None
    assert examination.record.source.sha256 == hashlib.sha256(data).hexdigest()
    validate(examination.record.to_dict())


@pytest.mark.parametrize("name", whole_files())
def test_every_format_keeps_its_safe_pixels_and_nothing_else(name):
    data = whole_files()[name]
    examination = make_pipeline(RED_SQUARES).examine(data, name=name)
    assert examination.record.status == "ok"
    assert (decode_clean(examination.veiled) == load(data)[0].pixels).all()


def test_an_animation_is_judged_by_its_worst_frame_and_says_what_was_assessed():
    frames = [Image.fromarray(square(BLUE)) for _ in range(3)]
    frames[1] = Image.fromarray(square(RED))
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    examination = make_pipeline(RED_SQUARES).examine(buffer.getvalue(), name="a.png")
    record = examination.record
    assert record.source.frames == 3
    assert record.source.frames_assessed == (0, 1, 2)
    assert record.source.frame == 1
    assert record.categories[0].flagged
    assert any("frame" in warning for warning in record.warnings)


def test_frames_that_were_not_assessed_make_a_record_partial():
    partial = 0
    for name, data in animated_files().items():
        record = make_pipeline(RED_SQUARES, max_frames=2).examine(data, name=name).record
        assert len(record.source.frames_assessed) == 2
        assert (record.status == "partial") == (record.source.frames > 2), name
        partial += record.status == "partial"
    assert partial >= 3


def test_a_bug_in_one_classifier_does_not_end_a_batch_and_passes_nothing_as_safe():
    examination = make_pipeline(scored("broken", Broken())).examine(encode_png(square()))
    assert examination.record.status == "not_assessed"
    assert "ZeroDivisionError" in examination.record.error
    assert examination.veiled is None


class Raises(Broken):
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def score(self, images):
        raise self._error


def test_code_that_asks_the_program_to_end_ends_one_image():
    pipeline = make_pipeline(scored("exits", Raises(SystemExit(7))))
    record = pipeline.examine(encode_png(square()), name="a.png").record
    assert record.status == "not_assessed"
    assert "tried to end the program (SystemExit: 7)" in record.error


def test_ctrl_c_ends_the_run():
    with pytest.raises(KeyboardInterrupt):
        make_pipeline(scored("slow", Raises(KeyboardInterrupt()))).examine(encode_png(square()))


class WithGradients(ColourDetector):
    """Claims to give gradients, as networks do; the attribution below asks for none."""

    module = None

    def to_input(self, images):
        raise NotImplementedError

    def to_image_maps(self, maps, size):
        raise NotImplementedError

    def target(self, logits):
        raise NotImplementedError


def _centre(classifier, image):
    """An attribution map that is high in the middle."""
    height, width = image.shape[:2]
    attribution_map = np.zeros((height, width), np.float32)
    attribution_map[height // 4 : -height // 4, width // 4 : -width // 4] = 1
    return attribution_map


_centre.needs_regions = False
_centre.needs_gradients = True


def with_centre(pipeline, **components):
    """The pipeline with the attribution above and other components."""
    components = replace(
        pipeline.components, attribution=NamedMethod("centre", _centre), **components
    )
    return Pipeline(pipeline.classifiers, components, config=pipeline.config)


def guided(segmentation, classifier, *, guided=True, image=None):
    pipeline = make_pipeline(scored("red", classifier), guided_segmentation=guided)
    components = {"refinement": None}
    if segmentation is not None:
        components["segmentation"] = NamedMethod("spy", segmentation)
    pipeline = with_centre(pipeline, **components)
    return pipeline.examine(encode_png(square() if image is None else image))


@pytest.mark.parametrize("wanted", [True, False])
def test_the_attribution_guides_the_partition_where_that_is_wanted(wanted):
    given = []

    def spy(image, *, guidance=None, rng=None):
        given.append(guidance)
        return segmentation.make("slic")(image)

    examination = guided(spy, WithGradients(RED), guided=wanted)
    assert examination.record.flagged
    [attribution_map] = given
    assert (attribution_map is not None) == wanted
    if wanted:
        assert (attribution_map == _centre(None, square())).all()


def test_a_guided_partition_is_finer_where_the_attribution_is_centre():
    image = square(image=photograph("astronaut", 200), at=(90, 90), side=20)
    made = [guided(None, WithGradients(RED), guided=on, image=image) for on in (False, True)]
    plain, refinement_labels = (examination.explanations["red"].labels for examination in made)
    hot = _centre(None, image) > 0
    assert len(np.unique(refinement_labels[hot])) > 1.2 * len(np.unique(plain[hot]))


def test_an_attribution_that_needs_regions_cannot_guide_them_and_the_record_says_so():
    record = guided(segmentation.make("slic"), ColourDetector(RED)).record
    assert any("gives no gradients, so occlusion ranked the regions" in w for w in record.warnings)
    assert any("so it did not guide the segmentation" in warning for warning in record.warnings)


@pytest.mark.parametrize("search", ["minimal", "greedy"])
@pytest.mark.parametrize("evaluations", [2, 3, 4, 5, 7, 30, 100])
def test_the_budget_holds(search, evaluations):
    slic = segmentation.make("slic")
    pipeline = make_pipeline(
        scored("red", WithGradients(RED)), max_evaluations=evaluations, search=search
    )
    made = with_centre(
        pipeline,
        segmentation=NamedMethod("slic", slic),
        refinement=pipeline.components.refinement and slic,
    )
    record = made.examine(encode_png(square())).record
    [category] = record.categories
    assert category.counterfactual.evaluations <= evaluations
    assert category.counterfactual.verified


def test_a_missing_file_is_a_record(tmp_path):
    record = make_pipeline(RED_SQUARES).examine(tmp_path / "gone.png").record
    assert record.status == "error"
    assert record.source.name == "gone.png"


def test_a_pipeline_without_categories_is_refused():
    with pytest.raises(UsageError, match="needs categories with different keys, got \\[\\]"):
        make_pipeline()


def test_one_key_twice_is_refused():
    with pytest.raises(UsageError, match="different keys"):
        make_pipeline(RED_SQUARES, RED_SQUARES)


def test_the_veiled_file_does_not_depend_on_what_is_hidden():
    plain, secret = square(), square()
    secret[35:49, 45:59] = (225, 15, 25)  # still red, but another red
    first = make_pipeline(RED_SQUARES).examine(encode_png(plain))
    second = make_pipeline(RED_SQUARES).examine(encode_png(secret))
    assert veil_of(first)[35:49, 45:59].all()
    both = veil_of(first) & veil_of(second)
    a, b = decode_clean(first.veiled), decode_clean(second.veiled)
    assert (a[both] == b[both]).all()


def test_level_sets_are_not_searched_again_at_full_resolution():
    """Their outlines are smooth, so that would only cost time."""
    scored_sizes = []

    class Never(Constant):
        def score(self, images):
            scored_sizes.extend([images.shape[1:3]] * len(images))
            return super().score(images)

    options = {"search": "levelsets", "region_size": "fine", "completion": "none"}
    pipeline = make_pipeline(scored("never", Never(0.9)), search_size=64, **options)
    record = pipeline.examine(encode_png(square())).record
    assert record.whole_image_veiled and record.status == "not_verified"
    assert scored_sizes.count((48, 64)) > 5
    assert scored_sizes.count((96, 128)) <= 3  # the image, and the veil over all of it
