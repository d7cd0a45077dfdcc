"""A borrowed module is restored after errors, and threads do not interfere."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from counterveil.attribution import make
from counterveil.attribution.layers import borrowed, substituted
from tests.attribution import nets


def test_the_module_is_restored_after_an_error_in_a_hook():
    module = nets.net("convnet")
    module[1].train()
    inner = module[0]

    def explode(*_):
        raise RuntimeError("in a hook")

    with (
        pytest.raises(RuntimeError, match="in a hook"),
        torch.no_grad(),
        borrowed(module, {inner: explode}),
    ):
        assert not module[1].training
        assert torch.is_grad_enabled()
        module(torch.rand(1, 3, 64, 64))
    assert module[1].training
    assert not module[0].training
    assert not inner._forward_hooks


def test_the_module_is_restored_after_an_error_in_the_model():
    module = nets.net("resnet")
    module.layer3.register_forward_hook(lambda *_: 1 / 0)
    for method in ("fullgrad", "gradcam", "fullgrad+gradcam", "ablationcam"):
        with pytest.raises(ZeroDivisionError):
            make(method)(nets.classifier(module), nets.random_image())
        assert sum(len(layer._forward_hooks) for layer in module.modules()) == 1
        assert not any("forward" in vars(layer) for layer in module.modules())


@pytest.mark.parametrize("method", ["fullgrad", "gradcam", "fullgrad+gradcam", "ablationcam"])
def test_threads_on_one_model_do_not_mix(method):
    classifier = nets.classifier(nets.net("hf_resnet"))
    images = [nets.random_image(seed=seed) for seed in range(3)]
    layer = "model.resnet.encoder.stages.0"
    attribution = make(method) if "fullgrad" in method else make(method, layer=layer)
    alone = [attribution(classifier, image) for image in images]
    scores = classifier.score(np.stack(images))
    stop = threading.Event()
    wrong = []

    def keep_scoring():
        while not stop.is_set():
            wrong.extend(np.abs(classifier.score(np.stack(images)) - scores) > 1e-6)

    scorer = threading.Thread(target=keep_scoring)
    scorer.start()
    try:
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(lambda image: attribution(classifier, image), images * 2))
    finally:
        stop.set()
        scorer.join()
    for expected, found in zip(alone * 2, together, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())
    assert wrong and not any(wrong)


def test_threads_restore_the_training_mode():
    module = nets.net("hf_resnet")
    images = [nets.random_image(seed=seed) for seed in range(4)]
    attribution = make("gradcam")
    classifier = nets.classifier(module)
    alone = [attribution(classifier, image) for image in images]
    module.train()
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda image: attribution(classifier, image), images * 5))
    assert all(layer.training for layer in module.modules())
    for expected, found in zip(alone * 5, together, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_substitutes_apply_to_this_thread_only():
    layer = nn.Identity()
    with substituted({layer: lambda: "substitute"}):
        assert layer(1) == "substitute"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(layer, 1).result() == 1
    assert layer(1) == 1


def test_substitutes_restore_a_forward_set_on_the_instance():
    layer = nn.Identity()
    layer.forward = lambda _: "by hand"
    with substituted({layer: lambda: "substitute"}):
        assert layer(1) == "substitute"
    assert layer(1) == "by hand"
