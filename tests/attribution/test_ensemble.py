"""FullGrad and Grad-CAM in one pass are the two methods apart."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from counterveil.attribution import make
from counterveil.attribution.layers import find_layer
from counterveil.classifiers import open_nsfw


@pytest.fixture(scope="module")
def one_view():
    return open_nsfw.load("1")


def test_the_mean_of_both_maps_each_divided_by_its_mean(one_view):
    image = data.astronaut()
    full_grad, grad_cam, both = (
        make(name)(one_view, image) for name in ("fullgrad", "gradcam", "fullgrad+gradcam")
    )
    inside = full_grad > 0  # the view does not reach the border
    expected = full_grad / full_grad[inside].mean() + grad_cam / grad_cam[inside].mean()
    correlation = np.corrcoef(expected[inside], both[inside])[0, 1]
    assert correlation > 0.999  # but for the order of resizing and dividing


def test_the_network_runs_once_and_is_left_as_it_was(one_view):
    passes = []
    layer = one_view.module.get_submodule(
        find_layer(one_view.module, one_view.to_input(data.astronaut()[None]))
    )
    handle = layer.register_forward_hook(lambda *_: passes.append(1))
    method = make("fullgrad+gradcam")
    method(one_view, data.astronaut())  # finds the layer
    passes.clear()
    method(one_view, data.astronaut())
    handle.remove()
    assert len(passes) == 1
    assert not layer._forward_hooks and not layer.training
