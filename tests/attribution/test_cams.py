"""The class activation maps against pytorch-grad-cam, and Ablation-CAM against brute force."""

import numpy as np
import pytest
import torch
from torch import nn

from counterveil.attribution import make
from counterveil.attribution.cams import AblationCam, GradCam, GradCamPlusPlus
from counterveil.attribution.layers import output_tensor, to_grid
from counterveil.attribution.partial_forward import PartialForward
from counterveil.classifiers.preprocessing import resize_maps
from counterveil.errors import UnsupportedModelError
from tests.attribution import nets

THEIRS = {
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "ablationcam": "AblationCAM",
}
LAYERS = {
    "resnet": "layer4",
    "hf_resnet": "model.resnet.encoder.stages.1",
    "hf_vit": "model.vit.layers.1.layernorm_before",
    "torchvision_vit": "encoder.layers.encoder_layer_1.ln_1",
}


def patches(tokens):
    return tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, 4, 4)


def theirs(method, module, layer, inputs, index):
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    reshape = patches if "vit" in layer or "encoder_layer" in layer else None
    constructor = getattr(pytorch_grad_cam, THEIRS[method])
    cam = constructor(module, [module.get_submodule(layer)], reshape_transform=reshape)
    return cam(inputs, [ClassifierOutputTarget(index)])[0]


def largest_logit(classifier, inputs):
    """Index of the largest logit: it has a map, and Ablation-CAM no sign flip."""
    with torch.no_grad():
        return int(classifier.module(inputs)[0].argmax())


# Not Grad-CAM++ on ViTs: where activations are negative, theirs turns on its epsilon.
PAIRS = [(method, name) for method in ("gradcam", "xgradcam") for name in LAYERS]
PAIRS += [("gradcam++", name) for name in ("resnet", "hf_resnet")]


@pytest.mark.parametrize(("method", "name"), PAIRS)
def test_agrees_with_pytorch_grad_cam(method, name):
    module = nets.net(name)
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and layer.out_features == 3:
            layer.weight.data *= 300  # gradients that drown their epsilon
    image, probe = nets.random_image(), nets.classifier(module)
    inputs = probe.to_input(image[None])
    index = largest_logit(probe, inputs)
    ours = make(method)(nets.classifier(module, unsafe_indices=(index,)), image)
    assert ours.max() > 0
    expected = theirs(method, module, LAYERS[name], inputs, index)
    np.testing.assert_allclose(nets.min_max(ours), expected, atol=5e-3)


def test_ablation_agrees_with_pytorch_grad_cam_on_positive_logits():
    module = nets.net("hf_resnet")
    module.model.classifier[1].bias.data.fill_(
        5
    )  # positive logits: theirs inverts the map of negative ones
    inputs = nets.classifier(module).to_input(nets.random_image()[None])
    index = largest_logit(nets.classifier(module), inputs)
    ours = AblationCam()(nets.classifier(module, unsafe_indices=(index,)), nets.random_image())
    expected = theirs("ablationcam", module, LAYERS["hf_resnet"], inputs, index)
    np.testing.assert_allclose(nets.min_max(ours), expected, atol=5e-3)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "xgradcam", "ablationcam"])
def test_a_layer_is_read_before_it_is_changed_in_place(method):
    maps = []
    for inplace in (True, False):
        module = nets.net("convnet")
        module[2].inplace = inplace
        maps.append(make(method, layer="1")(nets.classifier(module), nets.random_image()))
    assert maps[0].max() > 0
    np.testing.assert_allclose(*maps, rtol=1e-5)


def test_gradcam_plusplus_is_exact_for_small_gradients():
    """Alpha equals the formula, although the gradients are tiny."""
    gradient = torch.tensor([[[[1e-6, -2e-6], [3e-6, 0.0]]]], dtype=torch.float64)
    activation = torch.tensor([[[[1.0, 0.0], [2.0, 5.0]]]], dtype=torch.float64)
    alpha = gradient**2 / (2 * gradient**2 + activation.sum() * gradient**3)
    expected = (torch.nan_to_num(alpha) * gradient.relu()).sum((2, 3))
    found = GradCamPlusPlus()._channel_weights(activation, gradient)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


def brute_force(classifier, layer, image):
    """One whole forward per channel, with the layer's output changed by a hook."""
    module = classifier.module
    inputs = classifier.to_input(image[None])
    size = tuple(inputs.shape[-2:])
    grids = []

    @torch.no_grad()
    def value_without(channel):
        def ablate(_layer, _inputs, output):
            first = output_tensor(output).clone()
            grids.append(to_grid(layer, first, size).clone())
            to_grid(layer, first, size)[:, channel] = 0
            return (first, *output[1:]) if isinstance(output, tuple) else first

        handle = layer.register_forward_hook(ablate)
        value = classifier.target(module(inputs))[0]
        handle.remove()
        return value

    before = value_without([])
    grid = grids[0]
    values = [value_without(channel) for channel in range(grid.shape[1])]
    weights = (before - torch.stack(values)) / before.abs()
    return torch.einsum("c,chw->hw", weights, grid[0]).relu().numpy()


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet", "layer2"),
        ("resnet", "layer3.0.bn2"),  # something is added to it in place
        ("convnet", "1"),  # an in-place ReLU follows
        ("hf_resnet", "model.resnet.encoder.stages.1"),
        ("hf_resnet", "model.resnet.encoder.stages.1.layers.0.shortcut"),
        ("hf_vit", "model.vit.layers.0.layernorm_before"),
        ("hf_vit", "model.vit.layers.1.attention"),  # returns a tuple
        ("torchvision_vit", "encoder.layers.encoder_layer_1.ln_1"),
    ],
)
@pytest.mark.parametrize("unsafe", [(0,), (1, 2)])
def test_ablation_equals_whole_forwards(name, layer, unsafe):
    module = nets.net(name)
    classifier, image = nets.classifier(module, unsafe_indices=unsafe), nets.random_image()
    found = module.get_submodule(layer)
    expected = brute_force(classifier, found, image)
    attribution = AblationCam(layer=layer, batch_size=24)
    inputs = classifier.to_input(image[None])
    attribution_map = attribution._maps(classifier, inputs)[0].numpy()
    np.testing.assert_allclose(attribution_map, expected, atol=1e-3 * max(expected.max(), 1e-6))


def test_ablation_keeps_its_sign_for_negative_targets():
    module, image = nets.net("resnet"), nets.random_image()
    module.fc.bias.data.zero_()
    index = largest_logit(nets.classifier(module), nets.classifier(module).to_input(image[None]))
    maps = []
    for bias in (50.0, -50.0):
        module.fc.bias.data.fill_(bias)
        maps.append(
            nets.min_max(AblationCam()(nets.classifier(module, unsafe_indices=(index,)), image))
        )
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-3)


class Counting(nn.Conv2d):
    images = 0

    def forward(self, pixels):
        self.images += len(pixels)
        return super().forward(pixels)


def with_counter(cls=nn.Sequential):
    torch.manual_seed(0)
    front, back = Counting(3, 6, 3), Counting(6, 5, 3)
    body = nn.Sequential(front, nn.ReLU(inplace=True), back, nn.ReLU())
    return cls(body, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, 2)), front, back


def test_ablation_runs_only_the_layers_behind():
    module, front, back = with_counter()
    attribution = AblationCam(layer="0.1", batch_size=4)
    attribution(nets.classifier(module), nets.random_image())
    assert front.images == 1
    assert back.images == 1 + 2 + 6  # recorded, tested, and once per channel


def test_ablation_before_a_pooled_head_needs_no_more_forwards():
    module = nets.net("resnet")
    heads = []
    module.fc.register_forward_hook(lambda _layer, _inputs, output: heads.append(len(output)))
    AblationCam()(nets.classifier(module), nets.random_image())
    assert sum(heads) <= 3  # recorded, and tested once, for 512 channels


class Skip(nn.Module):
    """Changes in place an output that it uses later."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.front, self.layer = Counting(3, 4, 3), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, pixels):
        kept = self.front(pixels)
        kept += 1
        return self.head((self.layer(kept) * kept).amax((2, 3)))


def test_outputs_of_the_front_are_not_changed_in_place():
    module = Skip()
    classifier, image = nets.classifier(module), nets.random_image()
    attribution_map = AblationCam(layer="layer", batch_size=1).maps(classifier, image[None])[0]
    assert module.front.images == 1
    expected = torch.from_numpy(brute_force(classifier, module.layer, image))
    expected = resize_maps(expected[None], (nets.EDGE, nets.EDGE))[0].numpy()
    np.testing.assert_allclose(attribution_map, expected, rtol=1e-4, atol=1e-5)
    assert attribution_map.max() > 0


class BatchReader(nn.Sequential):
    """Reads the batch size at the front."""

    def forward(self, pixels):
        size = pixels.shape[0]
        body, pool, _, head = self
        return head(pool(body(pixels)).view(size, -1))


def test_ablation_falls_back_to_whole_forwards():
    module, front, _ = with_counter(BatchReader)
    plain, *_ = with_counter()
    attribution = AblationCam(layer="0.1", batch_size=4)
    attribution_map = attribution(nets.classifier(module), nets.random_image())
    assert front.images > 1
    expected = attribution(nets.classifier(plain), nets.random_image())
    np.testing.assert_allclose(attribution_map, expected, rtol=1e-4, atol=1e-6)


def test_a_layer_that_runs_twice_cannot_be_ablated():
    relu = nn.ReLU()
    module = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu, nn.Flatten())
    with pytest.raises(UnsupportedModelError, match=r"more than once.*'occlusion'"):
        AblationCam(layer="1")(nets.classifier(module), nets.random_image())


def test_a_layer_that_did_not_run_is_an_error():
    module = nets.net("convnet")
    module.add_module("unused", nn.Identity())
    module.forward = lambda pixels: nn.Sequential(*list(module)[:-1])(pixels)
    for method in (GradCam, AblationCam):
        with pytest.raises(UnsupportedModelError, match=r"took no part.*'occlusion'"):
            method(layer="unused")(nets.classifier(module), nets.random_image())


def test_a_partial_forward_reproduces_the_recorded_logits():
    module = nets.net("resnet")
    inputs = nets.classifier(module).to_input(nets.random_image()[None])
    forward = PartialForward(module, module.layer3, inputs)
    torch.testing.assert_close(forward.run(forward.activation), forward.logits)
    assert forward.pooled_head() is None
    assert PartialForward(module, module.layer4, inputs).pooled_head() is module.fc
