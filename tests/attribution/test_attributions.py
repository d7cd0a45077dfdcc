"""Every attribution method keeps the protocol on every network it supports."""

import gc
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from counterveil.attribution import ATTRIBUTIONS, make
from counterveil.classifiers.checked import checked
from counterveil.errors import ModelError, UnsupportedModelError, UsageError
from tests.attribution import nets

SUPPORTED = [
    (method, name)
    for method in ATTRIBUTIONS
    for name in nets.NETS
    if not method.startswith("fullgrad") or name in nets.CONVNETS
]
GRADIENT_METHODS = [method for method in ATTRIBUTIONS if method != "occlusion"]


def explain(method, classifier, image):
    labels = nets.quadrants(*image.shape[:2])
    return make(method)(classifier, image, labels=labels, fill=nets.black_fill)


def state(module):
    """State of a module that a method must restore, comparable."""
    return (
        [layer.training for layer in module.modules()],
        [list(layer._forward_hooks) + list(layer._forward_pre_hooks) for layer in module.modules()],
        ["forward" in vars(layer) for layer in module.modules()],
        [parameter.requires_grad for parameter in module.parameters()],
        [parameter.grad is None for parameter in module.parameters()],
        {name: tensor.clone() for name, tensor in module.state_dict().items()},
    )


@pytest.mark.parametrize(("method", "name"), SUPPORTED)
def test_protocol(method, name):
    module = nets.net(name)
    classifier = nets.classifier(module)
    # An unusual state to restore: training mode, a frozen parameter, a hook of the caller.
    if method != "occlusion":  # scores only, in the mode of the classifier
        module.train()
    next(module.parameters()).requires_grad_(False)
    module.register_forward_hook(lambda *_: None)
    before = state(module)
    image = nets.random_image(50, 80)
    pristine = image.copy()

    attribution_map = explain(method, classifier, image)

    assert attribution_map.shape == (50, 80)
    assert attribution_map.dtype == np.float32
    assert np.isfinite(attribution_map).all()
    assert (attribution_map >= 0).all()
    assert np.array_equal(image, pristine)
    after = state(module)
    assert after[:-1] == before[:-1]
    assert all(torch.equal(after[-1][key], before[-1][key]) for key in before[-1])
    module.eval()
    assert np.array_equal(explain(method, classifier, image), explain(method, classifier, image))


@pytest.mark.parametrize(("method", "name"), SUPPORTED)
def test_some_target_has_a_map_that_is_not_constant(method, name):
    module = nets.net(name)
    maps = [
        explain(
            method, nets.classifier(module, unsafe_indices=(index,)), nets.random_image(seed=index)
        )
        for index in range(3)
    ]
    assert any(np.ptp(attribution_map) > 0 for attribution_map in maps)


@pytest.mark.parametrize(("method", "name"), [(method, "resnet") for method in GRADIENT_METHODS])
def test_no_tensor_outlives_the_call(method, name):
    classifier = nets.classifier(nets.net(name))
    attribution = make(method)
    attribution(classifier, nets.random_image())
    gc.collect()
    gc.disable()
    try:
        before = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
        attribution(classifier, nets.random_image())
        after = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert after <= before  # the collector is off, so cycles count too


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_maps_of_a_batch_equal_those_of_its_images(method):
    classifier = nets.classifier(nets.net("hf_resnet"))
    images = np.stack([nets.random_image(seed=seed) for seed in range(3)])
    attribution = make(method, batch_size=2)
    together = attribution.maps(classifier, images)
    alone = np.stack([attribution(classifier, image) for image in images])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-5 * alone.max())
    assert attribution.maps(classifier, images[:0]).shape == (0, nets.EDGE, nets.EDGE)


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_works_inside_inference_mode(method):
    classifier = nets.classifier(nets.net("resnet"))
    expected = explain(method, classifier, nets.random_image())
    with torch.inference_mode():
        found = explain(method, classifier, nets.random_image())
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_the_error_for_a_black_box_names_occlusion(method):
    with pytest.raises(UnsupportedModelError, match=r"'black-box' only scores.*'occlusion'"):
        explain(method, nets.BlackBox(), nets.random_image())
    assert explain("occlusion", nets.BlackBox(), nets.random_image()).max() > 0


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_a_checked_classifier_has_the_same_map(method):
    classifier = nets.classifier(nets.net("resnet"))
    expected = explain(method, classifier, nets.random_image())
    assert np.array_equal(explain(method, checked(classifier), nets.random_image()), expected)


@pytest.mark.parametrize("method", ATTRIBUTIONS)
def test_needs_are_declared(method):
    assert make(method).needs_gradients == (method in GRADIENT_METHODS)
    assert make(method).needs_regions == (method == "occlusion")


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_the_error_for_a_model_without_gradient_names_occlusion(method):
    class Lookup(nn.Module):
        def forward(self, pixels):
            mean = pixels.mean((1, 2, 3)).round()
            return torch.stack([-mean, mean], dim=1).detach()

    with pytest.raises(UnsupportedModelError, match="'occlusion'"):
        explain(method, nets.classifier(Lookup()), nets.random_image())


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_values_that_are_not_finite_are_a_model_error(method):
    module = nets.net("resnet")
    module.layer4[0].conv1.weight.data.fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        explain(method, nets.classifier(module), nets.random_image())


def test_unknown_names_and_options_are_usage_errors():
    with pytest.raises(UsageError, match="no attribution is called 'lime'; choose one of fullgrad"):
        make("lime")
    with pytest.raises(UsageError, match=r"attribution 'gradcam': .*layers"):
        make("gradcam", layers="layer4")


def test_importing_the_package_does_not_import_torch():
    code = (
        "import sys, counterveil.attribution as room;"
        "assert len(room.ATTRIBUTIONS) == 7;"
        "room.make('occlusion');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
