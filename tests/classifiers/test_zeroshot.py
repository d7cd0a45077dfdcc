from __future__ import annotations

import json
import string

import pytest
import skimage.data
import torch
import transformers
from PIL import Image

from counterveil.classifiers import zeroshot
from counterveil.classifiers.architectures import import_torchvision
from counterveil.errors import ModelError, UnsupportedModelError, UsageError
from counterveil.types import Classifier

import_torchvision()

T = transformers
T.utils.logging.disable_progress_bar()

TINY = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
}  # fmt: skip
UNSAFE, SAFE = ["a knife", "blood on a wall"], ["a banana", "some red paint"]
PROMPTS = "|".join(UNSAFE) + "||" + "|".join(SAFE)


def clip(folder):
    letters = [*string.ascii_lowercase, *(letter + "</w>" for letter in string.ascii_lowercase)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, "an", "na"]
    vocabulary = {word: index for index, word in enumerate(words)}
    # The files as OpenAI's repositories have them.
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\na n\nn a\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')
    text = {**TINY, "vocab_size": len(words), "max_position_embeddings": 20, "eos_token_id": 1,
            "bos_token_id": 0, "pad_token_id": 1}  # fmt: skip
    vision = {**TINY, "image_size": 32, "patch_size": 8}
    config = T.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    size = {"height": 32, "width": 32}
    T.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size, resample=2).save_pretrained(
        folder
    )
    return T.CLIPModel(config)


def sentence_tokenizer(folder):
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *string.ascii_lowercase]
    vocabulary = {word: index for index, word in enumerate(words)}
    T.Siglip2Tokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    return {**TINY, "vocab_size": len(words), "max_position_embeddings": 24,
            "projection_size": 16}  # fmt: skip


def siglip(folder):
    text, vision = sentence_tokenizer(folder), {**TINY, "image_size": 32, "patch_size": 8}
    size = {"height": 32, "width": 32}
    T.SiglipImageProcessor(size=size, resample=2).save_pretrained(folder)
    return T.SiglipModel(T.SiglipConfig(text_config=text, vision_config=vision))


def siglip2(folder):
    text = sentence_tokenizer(folder)
    vision = {**TINY, "patch_size": 8, "num_patches": 16}
    T.Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)
    return T.Siglip2Model(T.Siglip2Config(text_config=text, vision_config=vision))


MAKERS = {"clip": clip, "siglip": siglip, "siglip2": siglip2}


@pytest.fixture(scope="module", params=MAKERS)
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    model = MAKERS[request.param](folder)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
        model.logit_scale.fill_(2.0)
        if request.param != "clip":
            model.logit_bias.fill_(-1.5)
    model.save_pretrained(folder)
    return request.param, folder, model.eval()


@pytest.fixture(scope="module")
def photo():
    return skimage.data.astronaut()


def reference(kind, folder, model, photo, prompts):
    """Logits of the model's own forward with its own processor and tokenizer."""
    tokenizer = T.AutoTokenizer.from_pretrained(folder)
    padding = {"padding": True} if kind == "clip" else {"padding": "max_length", "max_length": 24}
    tokens = dict(tokenizer(prompts, return_tensors="pt", **padding))
    if kind != "clip":
        tokens.pop("attention_mask", None)
    images = T.AutoImageProcessor.from_pretrained(folder)(
        images=Image.fromarray(photo), return_tensors="pt"
    )
    with torch.inference_mode():
        return model(**tokens, **images).logits_per_image


def test_logits_equal_those_of_the_model(saved, photo):
    kind, folder, model = saved
    classifier = zeroshot.load(f"{folder}#{PROMPTS}")
    assert isinstance(classifier, Classifier)
    with torch.inference_mode():
        got = classifier.module(classifier.to_input(photo[None]))
    wanted = reference(kind, folder, model, photo, UNSAFE + SAFE)
    assert wanted.std() > 0.01
    torch.testing.assert_close(got, wanted, atol=0.02, rtol=0)


def test_given_safe_prompts_share_the_softmax(saved, photo):
    kind, folder, model = saved
    wanted = reference(kind, folder, model, photo, UNSAFE + SAFE).softmax(1)[0, :2].sum()
    score = zeroshot.load(f"{folder}#{PROMPTS}").score(photo[None])
    assert score[0] == pytest.approx(float(wanted), abs=5e-3)


def test_without_safe_prompts_siglip_uses_sigmoids(saved, photo):
    kind, folder, model = saved
    if kind == "clip":
        with pytest.raises(UsageError, match="tokens"):  # the tiny model reads 20 letters
            zeroshot.load(f"{folder}#a knife")
        return
    each = reference(kind, folder, model, photo, UNSAFE).sigmoid()[0]
    score = zeroshot.load(f"{folder}#{'|'.join(UNSAFE)}").score(photo[None])
    assert score[0] == pytest.approx(float(1 - (1 - each).prod()), abs=5e-3)


def test_without_safe_prompts_clip_uses_the_default_ones(saved, monkeypatch, photo):
    kind, folder, _ = saved
    if kind == "clip":
        monkeypatch.setattr(zeroshot, "SAFE_PROMPTS", tuple(SAFE))
        got = zeroshot.load(f"{folder}#{'|'.join(UNSAFE)}").score(photo[None])
        assert got == zeroshot.load(f"{folder}#{PROMPTS}").score(photo[None])


def test_gradients_reach_every_part_of_the_image(saved, photo):
    _, folder, _ = saved
    classifier = zeroshot.load(f"{folder}#{PROMPTS}")
    pixels = classifier.to_input(photo[None]).requires_grad_()
    logits = classifier.module(pixels)
    target = classifier.target(logits)
    torch.testing.assert_close(target.sigmoid().double(), classifier.probability(logits))
    target.sum().backward()
    assert (pixels.grad.abs().amax(1) > 0).float().mean() > 0.99


def test_case_is_ignored(saved, photo):
    _, folder, _ = saved
    shouted = zeroshot.load(f"{folder}#{PROMPTS.upper()}").score(photo[None])
    assert shouted == zeroshot.load(f"{folder}#{PROMPTS}").score(photo[None])


def test_scores_of_a_batch_equal_those_of_its_images(saved, photo):
    _, folder, _ = saved
    classifier = zeroshot.load(f"{folder}#{PROMPTS}")
    both = classifier.score(
        torch.stack([torch.tensor(photo), torch.tensor(photo[::-1].copy())]).numpy()
    )
    assert both[0] == pytest.approx(classifier.score(photo[None])[0], abs=1e-6)
    assert both[0] != both[1]


def test_the_text_encoder_is_dropped(saved):
    _, folder, model = saved
    module = zeroshot.load(f"{folder}#{PROMPTS}").module
    kept = sum(parameter.numel() for parameter in module.parameters())
    assert kept < sum(parameter.numel() for parameter in model.parameters())
    assert not list(module.model.text_model.parameters())


def test_a_prompt_longer_than_the_context_is_refused(saved):
    with pytest.raises(UsageError, match=r"has \d+ tokens, the model reads 2\d; shorten"):
        zeroshot.load(f"{saved[1]}#{'knife ' * 9}||x")


def test_prompts_are_split_into_unsafe_and_safe():
    assert zeroshot.parse_prompts("a | b||c d |e") == (["a", "b"], ["c d", "e"])
    assert zeroshot.parse_prompts("a") == (["a"], [])


@pytest.mark.parametrize("text", ["|a", "a|", "a||", "||a", "a||b||c", " "])
def test_empty_prompts_are_refused(text):
    with pytest.raises(UsageError, match="none of them empty"):
        zeroshot.parse_prompts(text)


def test_a_model_without_text_encoder_is_refused(tmp_path):
    config = T.ViTConfig(**TINY, image_size=32, patch_size=8)
    T.ViTModel(config).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match="hub: for a classifier"):
        zeroshot.load(f"{tmp_path}#a")


def test_a_missing_tokenizer_is_a_model_error(tmp_path):
    clip(tmp_path).save_pretrained(tmp_path)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(ModelError, match="check that it has its files"):
        zeroshot.load(f"{tmp_path}#a||b")


def test_a_tokenizer_of_another_model_is_a_model_error(tmp_path):
    clip(tmp_path).save_pretrained(tmp_path)
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    words = ["<|startoftext|>", "<|endoftext|>", *map(str, range(100)), *letters, "a</w>", "b</w>"]
    (tmp_path / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(ModelError, match="cannot be loaded"):
        zeroshot.load(f"{tmp_path}#a||b")
