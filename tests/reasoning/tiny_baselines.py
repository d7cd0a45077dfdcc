"""Tiny checkpoints of OFA and mPLUG in ModelScope's own layout, with weights from a seed.

    PYTHON tests/reasoning/tiny_baselines.py ofa FOLDER

PYTHON is the interpreter of the baseline's environment: the library's classes build the model and
write it in their own layout. FOLDER gets ``vqa`` and ``caption``. Their answers are known: OFA
repeats yes unless repetition is blocked, and its captions depend on the image; mPLUG repeats yes,
and its captions use words of decreasing probability. Their default settings differ from the
paper's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

VQA, CAPTION = "visual-question-answering", "image-captioning"
WORDS = ("yes", "no", "red", "blue", "square", "green")


def configure(folder: Path, task: str, **model: object) -> None:
    """Write the file that names the model and the pipeline."""
    folder.mkdir(parents=True)
    read = {"framework": "pytorch", "task": task, "model": model, "pipeline": {"type": task}}
    (folder / "configuration.json").write_text(json.dumps(read))


def ofa(folder: Path, task: str) -> None:
    """OFA: a byte-level vocabulary as BART's, and the folder that ``save_pretrained`` writes."""
    from modelscope.models.multi_modal.ofa import OFAModel, OFATokenizer
    from modelscope.models.multi_modal.ofa.configuration_ofa import OFAConfig
    from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

    search = {"beam_size": 1, "no_repeat_ngram_size": 0, "max_len_b": 8}
    pixels = {"patch_image_size": 64, "max_image_size": 64}
    configure(folder, task, type="ofa", beam_search=search, **pixels)
    merges = dict.fromkeys(
        (("Ġ" + word)[:end], word[end - 1]) for word in WORDS for end in range(1, len(word) + 1)
    )
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *bytes_to_unicode().values()]
    pieces += [*map("".join, merges), "<mask>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    lines = ["#version: 0.2", *map(" ".join, merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    tokenizer = OFATokenizer.from_pretrained(str(folder))
    layer = {"layers": 1, "ffn_dim": 48, "attention_heads": 2}
    halves = {f"{half}_{key}": n for half in ("encoder", "decoder") for key, n in layer.items()}
    # The library adds 8192 tokens for pieces of images and 1000 for places.
    many = len(tokenizer) + 8192 + 1000
    # Weights this large, or one image would be as another to it.
    sizes = {"d_model": 32, "image_bucket_size": 16, "init_std": 0.5}
    config = OFAConfig(many, resnet_type="resnet18", **sizes, **halves)
    model = OFAModel(config).eval()
    with torch.no_grad():
        model.encoder.embed_tokens.weight.zero_()  # which is the output's too
        rows = torch.randn(len(WORDS), 32)
        if task == VQA:
            rows[0] = 1.0  # as the bias below, so it is always the likeliest
            model.encoder.embed_tokens.weight[2] = 0.9  # then the end of the sentence
            model.decoder.layer_norm.bias.fill_(1.0)
        known = [tokenizer.convert_tokens_to_ids("Ġ" + word) for word in WORDS]
        model.encoder.embed_tokens.weight[known] = rows
    model.save_pretrained(str(folder))


def mplug(folder: Path, task: str) -> None:
    """MPLUG: a word-piece vocabulary as BERT's, two files of settings and a state dictionary."""
    import yaml
    from modelscope.models.multi_modal.mplug import MPlug

    configure(folder, task, type="mplug")
    # Its search looks for the start and the end of a sentence where BERT has them.
    pieces = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += WORDS
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    layers = {"num_hidden_layers": 2, "text_encoder_layers": 1, "text_decode_layers": 2}
    fusion = {"fusion_layer": 1, "fusion_layers": 2, "stride_layer": 1, "encoder_width": 32}
    text = {"vocab_size": len(pieces), "hidden_size": 32, "intermediate_size": 48}
    text.update(
        pad_token_id=0, num_attention_heads=2, max_position_embeddings=64, add_cross_attention=False
    )
    (folder / "config_bert.json").write_text(json.dumps({**layers, **fusion, **text}))
    vision = {"image_resolution": 32, "vision_layers": 1, "vision_width": 768, "vocab_size": 64}
    vision.update(embed_dim=32, vision_patch_size=16, transformer_width=32)
    vision.update(transformer_heads=2, transformer_layers=1)
    settings = {"task": task, "image_res": 32, "vision_width": 768, "distill": False}
    settings.update(clip_name="ViT-B-16", beam_size=2, max_length=6)
    settings.update({f"clip_{key}": value for key, value in vision.items()})
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))

    model = MPlug.from_pretrained(str(folder), task=task, load_checkpoint=False)
    head = model.text_decoder.cls.predictions
    with torch.no_grad():
        head.decoder.weight.zero_()
        head.bias[-len(WORDS) :] = torch.linspace(20.0, 19.5, len(WORDS))
        if task == VQA:
            head.bias[pieces.index("yes")] = 60.0
    torch.save(model.state_dict(), str(folder / "pytorch_model.bin"))


if __name__ == "__main__":
    torch.manual_seed(0)
    for name, task in (("vqa", VQA), ("caption", CAPTION)):
        {"ofa": ofa, "mplug": mplug}[sys.argv[1]](Path(sys.argv[2]) / name, task)
