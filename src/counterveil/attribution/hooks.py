"""A module borrowed: in eval mode, with hooks, and given back as it was found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

Hook = Callable[[nn.Module, tuple[Any, ...], Any], None]
"""Sees a layer, its positional arguments and its output; changes nothing."""

_guard = threading.Lock()
_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


@contextmanager
def borrowed(module: nn.Module, hooks: Mapping[nn.Module, Hook] | None = None) -> Iterator[None]:
    """Inside, ``module`` is in eval mode, gradients flow, and ``hooks`` see its forwards.

    Hooks, modes and gradient switches are back as found afterwards, on errors too. One thread
    at a time borrows a module; others wait. A forward that another thread makes meanwhile
    (scoring does not borrow) is invisible to the hooks.

    Args:
        module: whose state is borrowed, with all of its layers.
        hooks: a layer of ``module`` to what is called after each of its forwards.
    """
    with _lock(module), ExitStack() as stack:
        for layer in [layer for layer in module.modules() if layer.training]:
            stack.callback(setattr, layer, "training", True)
            layer.training = False
        for layer, hook in (hooks or {}).items():
            stack.callback(layer.register_forward_hook(_only_here(hook)).remove)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield


@contextmanager
def substituted(evaluations: Mapping[nn.Module, Callable[[], Any]]) -> Iterator[None]:
    """Inside, each of the layers answers with its substitute instead of computing.

    Only this thread gets the substitutes; to others the layers compute as ever.
    """
    with ExitStack() as stack:
        for layer, substitute in evaluations.items():
            if "forward" in vars(layer):
                stack.callback(setattr, layer, "forward", vars(layer)["forward"])
            else:
                stack.callback(delattr, layer, "forward")
            layer.forward = _answering(substitute, layer.forward)
        yield


def _lock(module: nn.Module) -> threading.RLock:
    with _guard:
        return _locks.setdefault(module, threading.RLock())


def _only_here(hook: Hook) -> Hook:
    owner = threading.get_ident()

    def guarded(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() == owner:
            hook(layer, inputs, output)

    return guarded


def _answering(substitute: Callable[[], Any], original: Callable[..., Any]) -> Callable[..., Any]:
    owner = threading.get_ident()

    def forward(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == owner:
            return substitute()
        return original(*args, **kwargs)

    return forward
