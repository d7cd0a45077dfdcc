from __future__ import annotations

import numpy as np
import pytest
import torch

from counterveil import classifiers
from counterveil.attribution import make
from counterveil.classifiers import nsfwjs, nsfwjs_archive, nsfwjs_cache
from counterveil.classifiers.installed import installed_models
from counterveil.errors import ModelError, UnsupportedModelError, UsageError
from tests.classifiers import tiny_nsfwjs

MODEL = "package/dist/models/mobilenet_v2/model.min.js"
SHARD = "package/dist/models/mobilenet_v2/shard1of2.min.js"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """The user's cache folder, empty."""
    monkeypatch.setattr(nsfwjs_cache, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "counterveil" / "nsfwjs"


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "nsfwjs-0.0.7.tgz"
    tiny_nsfwjs.write_archive(path, tiny_nsfwjs.members())
    return path


def images(count=3):
    return np.random.default_rng(1).integers(0, 256, (count, 9, 9, 3)).astype(np.uint8)


def test_logits_are_those_of_tensorflow(archive):
    classifier = nsfwjs.load(f"{archive}#mobilenet_v2")
    with torch.no_grad():
        logits = classifier.module(classifier.to_input(images())).numpy()
    expected = [tiny_nsfwjs.logits(image / 255) for image in images()]
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def probabilities(image):
    values = np.exp(tiny_nsfwjs.logits(image / 255))
    return dict(zip(nsfwjs.CLASSES, values / values.sum(), strict=True))


@pytest.mark.parametrize(
    ("labels", "unsafe"),
    [
        ("", ("Hentai", "Porn", "Sexy")),
        ("#porn", ("Porn",)),
        ("#Sexy+Drawing", ("Sexy", "Drawing")),
    ],
)
def test_the_unsafe_classes_are_summed(archive, labels, unsafe):
    classifier = classifiers.load(
        f"nsfwjs:{archive.name}#mobilenet_v2{labels}", folder=archive.parent
    )
    expected = [sum(probabilities(image)[name] for name in unsafe) for image in images()]
    np.testing.assert_allclose(classifier.score(images()), expected, atol=1e-5)
    assert classifier.info.name == f"nsfwjs:{archive.name}#mobilenet_v2{labels}"
    assert classifier.info.version == "0.0.7"


def test_images_are_sampled_with_aligned_corners(archive):
    # Of 17 pixels in a row, every second one.
    classifier = nsfwjs.load(f"{archive}#mobilenet_v2")
    large = np.random.default_rng(2).integers(0, 256, (1, 17, 17, 3)).astype(np.uint8)
    np.testing.assert_allclose(
        classifier.score(large), classifier.score(large[:, ::2, ::2]), atol=1e-5
    )


def test_full_gradients_explain_it(archive):
    maps = make("fullgrad").maps(nsfwjs.load(f"{archive}#mobilenet_v2"), images())
    assert maps.shape == (3, 9, 9)
    assert maps.max() > 0


def test_the_network_is_converted_once_and_its_licence_kept(archive, cache, monkeypatch):
    first = nsfwjs.load(f"{archive}#mobilenet_v2")
    (converted,) = cache.glob("*/*.safetensors")
    assert converted.with_name("LICENSE").read_text() == "The licence\n"

    def no_more(*_):
        raise AssertionError("converted again")

    monkeypatch.setattr(nsfwjs_cache, "read_network", no_more)
    again = nsfwjs.load(f"{archive}#mobilenet_v2")
    assert again.info == first.info
    assert (again.score(images()) == first.score(images())).all()


def test_a_damaged_conversion_is_replaced(archive, cache):
    expected = nsfwjs.load(f"{archive}#mobilenet_v2").score(images())
    (converted,) = cache.glob("*/*.safetensors")
    whole = converted.read_bytes()
    for damaged in (b"", whole[:-9]):
        converted.write_bytes(damaged)
        assert (nsfwjs.load(f"{archive}#mobilenet_v2").score(images()) == expected).all()
        assert converted.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_error(archive, cache):
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder should be")
    assert nsfwjs.load(f"{archive}#mobilenet_v2").score(images()).shape == (3,)


def test_converted_networks_are_listed(archive, cache):
    assert not [each for each in installed_models() if each.spec.startswith("nsfwjs")]
    info = nsfwjs.load(f"{archive}#mobilenet_v2").info
    (cache / "broken").mkdir()
    (cache / "broken" / "x.safetensors").write_bytes(b"no tensors")
    (listed,) = [each for each in installed_models() if each.spec.startswith("nsfwjs")]
    assert listed.spec == "nsfwjs:FILE.tgz#mobilenet_v2"
    assert (listed.source, listed.licence) == ("nsfwjs 0.0.7 (npm, converted)", "MIT")
    assert listed.sha256 == info.sha256


@pytest.mark.parametrize(
    "argument",
    ["", "a.tgz", "#mobilenet_v2", "a.tgz#", "a.tgz#resnet", "a.tgz#mobilenet_v2#Porn#Sexy"],
)
def test_an_incomplete_spec_says_how_to_write_it(argument):
    with pytest.raises(UsageError, match=r"write nsfwjs:FILE\.tgz#NETWORK"):
        nsfwjs.load(argument)


def test_classes_are_checked_before_the_archive_is_read():
    with pytest.raises(UsageError, match="no label 'nude'; choose among Drawing, Hentai"):
        nsfwjs.load("missing.tgz#mobilenet_v2#nude")
    with pytest.raises(UsageError, match="every class unsafe"):
        nsfwjs.load("missing.tgz#mobilenet_v2#" + "+".join(nsfwjs.CLASSES))


def test_a_missing_archive_says_where_to_get_it(tmp_path):
    with pytest.raises(ModelError, match=r"cannot be read .*npm pack nsfwjs"):
        nsfwjs.load(f"{tmp_path}/nsfwjs.tgz#mobilenet_v2")
    with pytest.raises(ModelError, match="cannot be read"):
        nsfwjs.load(f"{tmp_path}#mobilenet_v2")  # a folder


def edited(name, old, new):
    files = tiny_nsfwjs.members()
    assert old in files[name]
    return {**files, name: files[name].replace(old, new)}


def without(name):
    return {key: text for key, text in tiny_nsfwjs.members().items() if key != name}


@pytest.mark.parametrize(
    "files",
    [
        {},
        without("package/LICENSE"),
        without(SHARD),
        edited(SHARD, 'a.exports="', 'a.exports="@'),
        edited(SHARD, 'a.exports="', "a.exports="),
        edited(MODEL, ".exports={", ".exports=[{"),
        edited(MODEL, "modelTopology:", "modelTopology"),
        edited(MODEL, "[3,3,3,4]", "[3,3,3,4000]"),
        edited(MODEL, 'dtype:"uint8"', 'dtype:"nonsense"'),
        edited(MODEL, "a.exports={", "a.exports={x:" + "[" * 100_000),
    ],
)
def test_an_archive_of_another_layout_is_refused(tmp_path, files):
    path = tmp_path / "other.tgz"
    tiny_nsfwjs.write_archive(path, files)
    with pytest.raises(ModelError, match=r"does not hold nsfwjs's mobilenet_v2.*npm pack nsfwjs@"):
        nsfwjs.load(f"{path}#mobilenet_v2")


@pytest.mark.parametrize(
    "change", [lambda data: b"no archive", lambda data: data[: len(data) // 2]]
)
def test_a_broken_archive_is_refused(archive, change):
    archive.write_bytes(change(archive.read_bytes()))
    with pytest.raises(ModelError, match="does not hold"):
        nsfwjs.load(f"{archive}#mobilenet_v2")


def test_a_file_that_unpacks_to_too_much_is_refused(archive, monkeypatch):
    monkeypatch.setattr(nsfwjs_archive, "MOST_BYTES", 100)
    with pytest.raises(ModelError, match="larger than 100 bytes"):
        nsfwjs.load(f"{archive}#mobilenet_v2")


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('class_name:"Dropout"', 'class_name:"Lambda"', UnsupportedModelError),
        ('activation:"relu"', 'activation:"tanh"', UnsupportedModelError),
        ("dilation_rate:[1,1]", "dilation_rate:[2,2]", UnsupportedModelError),
        ("epsilon:", "epsilonn:", ModelError),
        ('[["stem",0', '[["stemm",0', ModelError),
    ],
)
def test_a_network_of_unknown_parts_is_refused(tmp_path, old, new, error):
    path = tmp_path / "other.tgz"
    tiny_nsfwjs.write_archive(path, edited(MODEL, old, new))
    with pytest.raises(error):
        nsfwjs.load(f"{path}#mobilenet_v2")
