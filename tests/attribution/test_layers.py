"""Choice of the layer, and its output as maps."""

import pytest
import torch
from torch import nn

from counterveil.attribution.cams import GradCam
from counterveil.attribution.layers import find_layer, to_grid
from counterveil.errors import UnsupportedModelError, UsageError
from tests.attribution import nets

FOUND = {
    "convnet": "7",  # the last ReLU; what follows pools
    "resnet": "layer4",
    "hf_resnet": "model.resnet.encoder.stages.1",
    "hf_vit": "model.vit.layers.1.layernorm_before",
    "torchvision_vit": "encoder.layers.encoder_layer_1.ln_1",
}


@pytest.mark.parametrize("name", FOUND)
def test_finds_the_layer(name):
    assert find_layer(nets.net(name), torch.rand(1, 3, nets.EDGE, nets.EDGE)) == FOUND[name]


def test_a_layer_can_be_named():
    module = nets.net("resnet")
    assert GradCam(layer="layer2").resolve_layer(module, torch.rand(1, 3, 64, 64)) is module.layer2


def test_an_unknown_layer_is_a_usage_error():
    with pytest.raises(UsageError, match=r"no layer 'layer5'; choose for example .*layer4"):
        GradCam(layer="layer5")(nets.classifier(nets.net("resnet")), nets.random_image())


def test_a_module_without_maps_is_refused():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * nets.EDGE**2, 2))
    with pytest.raises(UnsupportedModelError, match=r"no layer of this model.*'occlusion'"):
        GradCam()(nets.classifier(module), nets.random_image())


def test_a_layer_without_a_map_is_refused():
    with pytest.raises(UnsupportedModelError, match=r"Linear gives \(1, 3\), .*'occlusion'"):
        GradCam(layer="fc")(nets.classifier(nets.net("resnet")), nets.random_image())


@pytest.mark.parametrize(
    ("tokens", "size", "grid"),
    [
        (196, (224, 224), (14, 14)),  # SigLIP: patches only
        (197, (224, 224), (14, 14)),  # ViT: a class token
        (198, (224, 224), (14, 14)),  # DeiT: a distillation token too
        (261, (224, 224), (16, 16)),  # DINOv2 with four registers
        (1 + 12 * 8, (192, 128), (12, 8)),
    ],
)
def test_tokens_become_a_grid(tokens, size, grid):
    activation = torch.arange(tokens).float().view(1, tokens, 1)
    found = to_grid(nn.Identity(), activation, size)
    assert found.shape == (1, 1, *grid)
    prefix = tokens - grid[0] * grid[1]
    assert found[0, 0, 0, 0] == prefix
    assert found[0, 0, 1, 0] == prefix + grid[1]
    found.zero_()  # a view: Ablation-CAM writes through it
    assert activation[:, prefix:].sum() == 0
    assert activation[:, :prefix].sum() == sum(range(prefix))


def test_layer_norm_maps_have_channels_last():
    activation = torch.rand(1, 4, 5, 7)
    assert to_grid(nn.LayerNorm(7), activation, (32, 40)).shape == (1, 7, 4, 5)
    assert to_grid(nn.Conv2d(1, 1, 1), activation, (32, 40)).shape == (1, 4, 5, 7)


def test_tokens_that_form_no_grid_are_refused():
    with pytest.raises(UnsupportedModelError, match="not a map"):
        to_grid(nn.Identity(), torch.rand(1, 70, 8), (224, 448))
