"""FullGrad against its definition, its completeness property, and pytorch-grad-cam."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from counterveil.attribution.fullgrad import FullGrad, full_gradients, psi
from counterveil.errors import UnsupportedModelError
from tests.attribution import nets
from tests.attribution.nets import torchvision


class OwnBatchNorm(nn.BatchNorm2d):
    """A subclass, as in other libraries."""


def exotic_convnet():
    """Biases that are easily missed: subclasses, frozen statistics, clipping, shared layers."""
    frozen = torchvision.ops.misc.FrozenBatchNorm2d(8)
    shared = nn.Conv2d(8, 8, 3, padding=1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        frozen,
        nn.ReLU6(inplace=True),
        shared,
        OwnBatchNorm(8, affine=False),
        nn.Hardtanh(-0.5, 0.25),
        shared,
        nn.LeakyReLU(0.1, inplace=True),
        nn.ConvTranspose2d(8, 4, 2, stride=2),
        nn.BatchNorm2d(4),
        nn.PReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(4, 4, 1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def mobilenet():
    return torchvision.models.mobilenet_v2(weights=None, num_classes=3, width_mult=0.25)


FACTORIES = {name: nets.NETS[name] for name in nets.CONVNETS} | {
    "exotic_convnet": exotic_convnet,
    "mobilenet": mobilenet,
}


def second(logits):
    return logits[:, 1]


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_completeness(name, seed):
    torch.manual_seed(seed)
    module = nets.randomised(FACTORIES[name](), seed).double()
    inputs = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    check = full_gradients(module, inputs, second, lambda term: None)
    with torch.no_grad():
        assert torch.equal(check.value, second(module(inputs)))
    assert check.error.max() < 1e-10
    assert ((check.total - check.value).abs() < 1e-4 * check.value.abs()).all()


def test_completeness_fails_without_the_implicit_biases():
    module = nets.net("resnet").double()
    inputs = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    terms = []
    check = full_gradients(module, inputs, second, lambda term: terms.append(term.sum()))
    assert abs(terms[-1] - check.value) > 1e-2 * abs(check.value)  # the input term alone


def transcribed(module, inputs, index):
    """Equation 4 written literally: each channel of each layer resized separately."""
    leaf = inputs.clone().requires_grad_()
    seen = []
    handles = [
        layer.register_forward_hook(lambda layer, _, out: seen.append((layer, out)))
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)
    ]
    value = module(leaf)[:, index].sum()
    for handle in handles:
        handle.remove()
    terms = [torch.autograd.grad(value, leaf, retain_graph=True)[0] * inputs]
    for layer, output in seen:
        bias = layer.bias
        if isinstance(layer, nn.BatchNorm2d):
            bias = bias - layer.weight * layer.running_mean / (layer.running_var + layer.eps).sqrt()
        if bias is not None:
            (gradient,) = torch.autograd.grad(value, output, retain_graph=True)
            terms.append(gradient * bias.view(1, -1, 1, 1))
    total = 0
    for term in terms:
        term = term.detach().abs()
        low, high = term.min(), term.max()
        term = (term - low) / (high - low)
        total = total + functional.interpolate(term, inputs.shape[-2:], mode="bilinear").sum(1)
    return total[0].numpy()


def test_map_equals_the_papers_formula():
    torch.manual_seed(0)
    module = nn.Sequential(  # nothing in place, so that the transcription can stay simple
        nn.Conv2d(3, 8, 5, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(108, 3),
    )
    classifier = nets.classifier(nets.randomised(module))
    image = nets.random_image()
    expected = transcribed(module, classifier.to_input(image[None]), 1)
    np.testing.assert_allclose(FullGrad()(classifier, image), expected, rtol=1e-3, atol=1e-3)


def test_pytorch_grad_cam_differs_by_normalising_each_channel():
    """With their per-channel min-max in place of psi, the same terms give their map."""
    from pytorch_grad_cam import FullGrad as TheirFullGrad
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    module = nets.net("resnet")
    inputs = nets.classifier(module).to_input(nets.random_image()[None])
    theirs = TheirFullGrad(module, [])(inputs, [ClassifierOutputTarget(1)])[0]
    maps = []

    def per_channel(term):
        term = term.abs()
        term = term - term.amin((2, 3), keepdim=True)
        term = term / (1e-7 + term.amax((2, 3), keepdim=True))
        resized = functional.interpolate(term, (nets.EDGE, nets.EDGE), mode="bilinear")
        maps.append(resized.sum(1)[0].numpy())

    full_gradients(module, inputs, second, per_channel)
    np.testing.assert_allclose(nets.min_max(sum(maps)), theirs, atol=2e-3)
    ours = nets.min_max(FullGrad()(nets.classifier(module), nets.random_image()))
    assert np.abs(ours - theirs).max() > 0.05


def test_psi():
    term = torch.tensor([[[[-4.0, 1.0]], [[2.0, 3.0]]], [[[5.0, 5.0]], [[-5.0, 5.0]]]])
    # |.| is 4 1 / 2 3; jointly min 1, max 4; the second sample is flat.
    expected = torch.tensor([[[4 / 3, 2 / 3]], [[0.0, 0.0]]])
    torch.testing.assert_close(psi(term), expected)


def test_one_forward_and_one_backward():
    counts = {"forward": 0, "backward": 0}

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            counts["forward"] += 1
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            counts["backward"] += 1
            return gradient

    class Front(nn.Module):
        def forward(self, x):
            return Counted.apply(x)

    module = nn.Sequential(Front(), nets.net("convnet"))
    FullGrad()(nets.classifier(module), nets.random_image())
    assert counts == {"forward": 1, "backward": 1}


class Functional(nn.Module):
    """A smooth activation that no layer's name shows."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, pixels):
        return self.head(functional.silu(self.convolution(pixels)).mean((2, 3)))


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: nets.net("hf_vit"), r"\(it has .*GELU.*\)"),
        (lambda: nets.net("torchvision_vit"), r"\(it has LayerNorm.*\)"),
        (lambda: nets.randomised(Functional()), r"miss its output by \d+%;"),
    ],
)
def test_a_network_that_is_not_piecewise_linear_is_refused(make, cause):
    torch.manual_seed(0)
    with pytest.raises(UnsupportedModelError, match=cause) as caught:
        FullGrad()(nets.classifier(make()), nets.random_image())
    assert "use 'gradcam', or 'occlusion'" in str(caught.value)


def test_windowed_attention_is_refused():
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(
        image_size=nets.EDGE, embed_dim=8, depths=[1], num_heads=[1], window_size=4, num_labels=3
    )
    swin = nets.classifier(nets.Logits(SwinForImageClassification(config).eval()))
    with pytest.raises(UnsupportedModelError, match="use 'gradcam', or 'occlusion'"):
        FullGrad()(swin, nets.random_image())


def test_finds_the_red_square():
    """A hand-made detector: red minus green and blue, above a threshold."""
    detector = nn.Conv2d(3, 1, 3, padding=1)
    detector.weight.data = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 3, 3) / 9
    detector.bias.data.fill_(-0.8)
    head = nn.Linear(1, 2)
    head.weight.data, head.bias.data = torch.tensor([[-1.0], [1.0]]), torch.zeros(2)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    classifier = nets.classifier(nn.Sequential(detector, nn.ReLU(), pool, head))
    image = np.full((96, 128, 3), 128, np.uint8)
    image[60:90, 8:40] = (255, 0, 0)
    square = np.zeros((96, 128), bool)
    square[56:94, 4:44] = True  # and the reach of interpolation
    attribution_map = FullGrad()(classifier, image)
    assert attribution_map[square].sum() > 0.99 * attribution_map.sum()
