"""Weights files: ours, those of torchvision, and damaged ones."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from counterveil.classifiers import load
from counterveil.classifiers.architectures import build_network
from counterveil.errors import ModelError

IMAGES = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def paper():
    """As the paper trains it: torchvision's ResNet-50, two outputs."""
    torch.manual_seed(0)
    module = build_network("resnet50").eval()
    torch.nn.init.normal_(module.fc.weight, std=0.5)
    return module


def direct(module):
    """What torchvision's own recipe for these weights gives."""
    import torchvision.transforms.v2.functional as transforms

    x = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)
    x = transforms.resize(x, [224, 224], antialias=True)
    x = transforms.normalize(x.float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        return torch.softmax(module(x), dim=1)[:, 1].numpy()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_loads_a_torchvision_resnet50(paper, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(paper.state_dict(), path, {"format": "pt"})  # metadata of other origin
    else:
        torch.save(paper.state_dict(), path)
    classifier = load(f"resnet50:{path}")
    assert np.allclose(classifier.score(IMAGES), direct(paper), atol=0.02)
    assert len(classifier.info.sha256) == 64


def test_code_in_a_pickle_is_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps({"fc.weight": Payload()}, protocol=2))
    with pytest.raises(ModelError, match="never code"):
        load(f"resnet50:{path}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "safetensors"),
        (b"\xff" * 400, "safetensors"),
        (b"\x08" + b"\0" * 7 + b"{}      ", "resnet50"),
    ],
)
def test_a_file_that_is_not_safetensors_is_a_model_error(tmp_path, content, word):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=word):
        load(f"resnet50:{path}")


def test_weights_of_another_architecture_are_a_model_error(tmp_path):
    save_file(build_network("resnet18").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="resnet50"):
        load(f"resnet50:{tmp_path / 'w.safetensors'}")


@pytest.mark.parametrize(
    "metadata",
    [
        "{",
        json.dumps({"architecture": "vgg"}),
        json.dumps({"architecture": "slim", "input": {"depth": 3}}),
        json.dumps({"architecture": "slim", "classes": "many"}),
    ],
)
def test_damaged_metadata_is_a_model_error(tmp_path, metadata):
    path = tmp_path / "w.safetensors"
    save_file(build_network("slim").state_dict(), path, {"counterveil": metadata})
    with pytest.raises(ModelError):
        load(f"resnet50:{path}")


def test_a_missing_file_is_a_model_error(tmp_path):
    with pytest.raises(ModelError, match="check the path"):
        load(f"resnet50:{tmp_path / 'none.safetensors'}")
