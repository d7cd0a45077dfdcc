"""Every attribution, on every network it serves, keeps the promises of the protocol."""

import gc
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from counterveil.attribution import ATTRIBUTIONS, make
from counterveil.errors import UnsupportedModelError, UsageError
from tests.attribution import nets

SERVED = [
    (method, name)
    for method in ATTRIBUTIONS
    for name in nets.NETS
    if method != "fullgrad" or name in nets.CONVNETS
]
OPENERS = [method for method in ATTRIBUTIONS if method != "occlusion"]


def explain(method, classifier, image):
    labels = nets.quadrants(*image.shape[:2])
    return make(method)(classifier, image, labels=labels, fill=nets.black)


def state(module):
    """All that a method borrows, in a form that can be compared."""
    return (
        [layer.training for layer in module.modules()],
        [list(layer._forward_hooks) + list(layer._forward_pre_hooks) for layer in module.modules()],
        ["forward" in vars(layer) for layer in module.modules()],
        [parameter.requires_grad for parameter in module.parameters()],
        [parameter.grad is None for parameter in module.parameters()],
        {name: tensor.clone() for name, tensor in module.state_dict().items()},
    )


@pytest.mark.parametrize(("method", "name"), SERVED)
def test_promises(method, name):
    module = nets.net(name)
    classifier = nets.classifier(module)
    # As found is not as it should be: something trains, something is frozen, someone listens.
    if method != "occlusion":  # which scores, and leaves the mode to the classifier
        module.train()
    next(module.parameters()).requires_grad_(False)
    module.register_forward_hook(lambda *_: None)
    before = state(module)
    image = nets.picture(50, 80)
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


@pytest.mark.parametrize(("method", "name"), SERVED)
def test_some_target_gets_a_map_that_is_not_flat(method, name):
    module = nets.net(name)
    maps = [
        explain(method, nets.classifier(module, unsafe=(index,)), nets.picture(seed=index))
        for index in range(3)
    ]
    assert any(np.ptp(attribution_map) > 0 for attribution_map in maps)


@pytest.mark.parametrize(("method", "name"), [(method, "resnet") for method in OPENERS])
def test_no_activation_outlives_the_call(method, name):
    classifier = nets.classifier(nets.net(name))
    attribution = make(method)
    attribution(classifier, nets.picture())
    gc.collect()
    gc.disable()
    try:
        before = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
        attribution(classifier, nets.picture())
        after = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert after <= before  # with the collector off: not even in cycles


@pytest.mark.parametrize("method", OPENERS)
def test_maps_of_a_batch_are_those_of_its_images(method):
    classifier = nets.classifier(nets.net("hf_resnet"))
    images = np.stack([nets.picture(seed=seed) for seed in range(3)])
    attribution = make(method, batch=2)
    together = attribution.maps(classifier, images)
    alone = np.stack([attribution(classifier, image) for image in images])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-5 * alone.max())
    assert attribution.maps(classifier, images[:0]).shape == (0, nets.EDGE, nets.EDGE)


@pytest.mark.parametrize("method", OPENERS)
def test_works_where_the_caller_forbade_gradients(method):
    classifier = nets.classifier(nets.net("resnet"))
    expected = explain(method, classifier, nets.picture())
    with torch.inference_mode():
        found = explain(method, classifier, nets.picture())
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("method", OPENERS)
def test_a_black_box_is_sent_to_occlusion(method):
    with pytest.raises(UnsupportedModelError, match=r"'black-box' only scores.*'occlusion'"):
        explain(method, nets.BlackBox(), nets.picture())
    assert explain("occlusion", nets.BlackBox(), nets.picture()).max() > 0


@pytest.mark.parametrize("method", OPENERS)
def test_a_wrapped_classifier_is_looked_into(method):
    class Wrapped:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

    inner = nets.classifier(nets.net("resnet"))
    expected = explain(method, inner, nets.picture())
    assert np.array_equal(explain(method, Wrapped(inner), nets.picture()), expected)


@pytest.mark.parametrize("method", OPENERS)
def test_a_model_without_a_gradient_is_sent_to_occlusion(method):
    class Lookup(nn.Module):
        def forward(self, pixels):
            mean = pixels.mean((1, 2, 3)).round()
            return torch.stack([-mean, mean], dim=1).detach()

    with pytest.raises(UnsupportedModelError, match="'occlusion'"):
        explain(method, nets.classifier(Lookup()), nets.picture())


@pytest.mark.parametrize("method", OPENERS)
def test_values_that_are_not_finite_are_an_error(method):
    from counterveil.errors import ModelError

    module = nets.net("resnet")
    module.layer4[0].conv1.weight.data.fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        explain(method, nets.classifier(module), nets.picture())


def test_unknown_names_and_options_are_the_callers_mistake():
    with pytest.raises(UsageError, match="no attribution is called 'lime'; choose one of fullgrad"):
        make("lime")
    with pytest.raises(UsageError, match=r"attribution 'gradcam': .*layers"):
        make("gradcam", layers="layer4")


def test_importing_the_package_loads_no_torch():
    code = (
        "import sys, counterveil.attribution as room;"
        "assert len(room.ATTRIBUTIONS) == 6;"
        "room.make('occlusion');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
