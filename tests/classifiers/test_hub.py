from __future__ import annotations

import hashlib
import json

import huggingface_hub
import numpy as np
import pytest
import skimage.data
import torch
import transformers
from PIL import Image

from counterveil.classifiers import hub
from counterveil.classifiers.architectures import import_torchvision
from counterveil.errors import ModelError, UnsupportedModelError, UsageError
from counterveil.types import Classifier

import_torchvision()

transformers.utils.logging.disable_progress_bar()

LABELS = {0: "Safe", 1: "Bad Thing", 2: "Worse+"}


def save(folder, processor, *, size=32, labels=LABELS, **options):
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=size, patch_size=8, id2label=labels,
        label2id={name: index for index, name in labels.items()}, **options,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(config)
    with torch.no_grad():
        model.classifier.weight.normal_()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model.eval()


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vit")
    size = {"height": 32, "width": 32}
    model = save(folder, transformers.ViTImageProcessor(size=size, image_mean=(0.4, 0.5, 0.6)))
    return folder, model


@pytest.fixture(scope="module")
def photo():
    return skimage.data.astronaut()


def own(folder, image):
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    return processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"]


def test_scores_equal_those_of_the_model_with_its_own_processor(vit, photo):
    folder, model = vit
    classifier = hub.load(f"{folder}#bad thing+WORSE+")
    assert isinstance(classifier, Classifier)
    with torch.inference_mode():
        wanted = model(own(folder, photo)).logits.softmax(1)[:, 1:].sum(1)
    assert classifier.score(photo[None]) == pytest.approx(wanted.numpy(), abs=2e-3)
    alone = hub.load(f"{folder}#Worse+").score(photo[None])
    assert alone < classifier.score(photo[None])


def test_info_has_the_spec_and_the_weights_hash(vit):
    folder, _ = vit
    info = hub.load(f"{folder}#safe").info
    assert info.name == f"hub:{folder}#safe"
    assert info.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


T = transformers
PROCESSORS = {
    "bilinear": T.ViTImageProcessor(size={"height": 32, "width": 32}),
    "bicubic": T.ViTImageProcessor(size={"height": 32, "width": 32}, resample=3),
    "imagenet": T.ViTImageProcessor(
        size={"height": 32, "width": 32},
        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
    ),
    "unnormalised": T.ViTImageProcessor(size={"height": 32, "width": 32}, do_normalize=False),
    "unscaled": T.ViTImageProcessor(
        size={"height": 32, "width": 32}, do_rescale=False, do_normalize=False
    ),
    "offset": T.EfficientNetImageProcessor(
        size={"height": 32, "width": 32}, rescale_factor=1 / 127.5, rescale_offset=True,
        do_normalize=False, resample=2,
    ),
    "clip": T.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ),
    "blue first": T.MobileViTImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ),
    "squashing": T.ConvNextImageProcessor(size={"shortest_edge": 384}),
}  # fmt: skip


@pytest.mark.parametrize("name", PROCESSORS)
def test_input_equals_that_of_the_processor_on_a_square_image(tmp_path, photo, name):
    processor = PROCESSORS[name]
    save(tmp_path, processor, size=384 if name == "squashing" else 32)
    classifier = hub.load(f"{tmp_path}#safe")
    wanted = own(tmp_path, photo)
    got = classifier.to_input(photo[None])
    got = got.flip(1) if classifier.module.bgr else got
    assert got.shape == wanted.shape
    off = (got - wanted).abs() * 255 * torch.tensor(classifier.input_spec.std).min()  # grey levels
    # Theirs rounds to whole grey levels after each axis, and where bicubic overshoots, clamps.
    assert off.mean() < 0.5
    assert off.max() < (1.01 if classifier.input_spec.mode == "bilinear" else 6)


def test_the_border_that_a_processor_would_crop_is_kept(tmp_path):
    processor = T.CLIPImageProcessor(
        size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}
    )
    save(tmp_path, processor)
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, :20] = 255
    assert own(tmp_path, wide).std() < 1  # black only, but for the channels' means
    assert own(tmp_path, wide).amax() < 0
    assert hub.load(f"{tmp_path}#safe").to_input(wide[None])[..., 0].amin() > 1


def test_a_multi_label_model_uses_sigmoids(tmp_path, photo):
    processor = PROCESSORS["bilinear"]
    model = save(tmp_path, processor, problem_type="multi_label_classification")
    score = hub.load(f"{tmp_path}#safe+bad thing").score(photo[None])
    with torch.inference_mode():
        each = model(own(tmp_path, photo)).logits.sigmoid()[0, :2]
    assert score[0] == pytest.approx(float(1 - (1 - each).prod()), abs=2e-3)


def test_gradients_reach_the_image(vit, photo):
    classifier = hub.load(f"{vit[0]}#safe")
    pixels = classifier.to_input(photo[None]).requires_grad_()
    classifier.target(classifier.module(pixels)).sum().backward()
    assert pixels.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("nude", "no label 'nude'; choose among Safe, Bad Thing, Worse+"),
        ("safe+bad thing+worse", "no label 'worse'"),
        ("safe+", "no label ''"),
    ],
)
def test_an_unknown_label_is_refused_with_a_list_of_labels(vit, labels, message):
    with pytest.raises(UsageError) as caught:
        hub.load(f"{vit[0]}#{labels}")
    assert message in str(caught.value)


def test_all_labels_unsafe_is_refused(tmp_path):
    save(tmp_path, PROCESSORS["bilinear"], labels={0: "a", 1: "b"})
    with pytest.raises(UsageError, match="every label"):
        hub.load(f"{tmp_path}#a+b")


@pytest.mark.parametrize("argument", ["", "x", "#y", "x#"])
def test_a_spec_without_model_or_label_is_refused(argument):
    with pytest.raises(UsageError, match="write hub:REPO_OR_FOLDER#"):
        hub.load(argument)


def test_missing_weights_are_refused(tmp_path):
    config = T.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=32, patch_size=8,
    )  # fmt: skip
    T.ViTModel(config).save_pretrained(tmp_path)
    PROCESSORS["bilinear"].save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"lacks classifier\.bias.*random"):
        hub.load(f"{tmp_path}#LABEL_0")


def test_pickles_are_refused(tmp_path):
    model = save(tmp_path, PROCESSORS["bilinear"])
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only safetensors"):
        hub.load(f"{tmp_path}#safe")


def test_code_from_a_checkpoint_is_never_run(tmp_path):
    save(tmp_path, PROCESSORS["bilinear"])
    marker = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')")
    auto_map = {"AutoConfig": "evil.C", "AutoModelForImageClassification": "evil.M"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "x", "auto_map": auto_map}))
    with pytest.raises(ModelError, match="never run"):
        hub.load(f"{tmp_path}#safe")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", b"garbage" * 10, "cannot be loaded"),
        ("config.json", b"{", "valid JSON"),
        ("config.json", b'{"model_type": "bert"}', "kind that this scheme serves"),
        ("config.json", b'{"model_type": "nonsense"}', "nonsense"),
        ("preprocessor_config.json", None, "image processor"),
    ],
)
def test_broken_checkpoints_are_model_errors(tmp_path, file, content, message):
    save(tmp_path, PROCESSORS["bilinear"])
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        hub.load(f"{tmp_path}#safe")


def test_offline_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"connect to the network once .* or give a folder"):
        hub.load("nobody/nothing-here@main#safe")


def test_a_processor_without_image_output_is_refused(tmp_path):
    save(tmp_path, T.Siglip2ImageProcessor())
    with pytest.raises(UnsupportedModelError, match="python:module:factory"):
        hub.load(f"{tmp_path}#safe")


def test_sharded_weights_are_hashed_in_order(vit, tmp_path):
    folder, model = vit
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    transformers.AutoImageProcessor.from_pretrained(folder).save_pretrained(tmp_path)
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 1
    wanted = hashlib.sha256(b"".join(shard.read_bytes() for shard in shards)).hexdigest()
    assert hub.load(f"{tmp_path}#safe").info.sha256 == wanted
