"""Borrow a module: eval mode and hooks inside a context, everything restored afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

Hook = Callable[[nn.Module, tuple[Any, ...], Any], None]
"""Called with a layer, its positional arguments and its output; returns nothing."""

_guard = threading.Lock()
_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


@contextmanager
def borrowed(module: nn.Module, hooks: Mapping[nn.Module, Hook] | None = None) -> Iterator[None]:
    """Inside, ``module`` is in eval mode, gradients are enabled, and ``hooks`` are registered.

    ``hooks`` maps a layer to a function called after each of its forwards. Everything is
    restored afterwards, on errors too. One thread at a time borrows a module; others wait.
    Hooks ignore forwards of other threads, because scoring does not borrow.
    """
    with _module_lock(module), ExitStack() as stack:
        # Not module.eval(): it would not remember which layers were training.
        for layer in [layer for layer in module.modules() if layer.training]:
            stack.callback(setattr, layer, "training", True)
            layer.training = False
        for layer, hook in (hooks or {}).items():
            stack.callback(layer.register_forward_hook(_for_this_thread(hook)).remove)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield


@contextmanager
def substituted(substitutes: Mapping[nn.Module, Callable[[], Any]]) -> Iterator[None]:
    """Inside, each layer returns the result of its substitute instead of computing.

    Other threads still get the layers' own outputs.
    """
    with ExitStack() as stack:
        for layer, substitute in substitutes.items():
            # An instance attribute hides the class's forward; restore one that was there before.
            if "forward" in vars(layer):
                stack.callback(setattr, layer, "forward", vars(layer)["forward"])
            else:
                stack.callback(delattr, layer, "forward")
            layer.forward = _substitute_forward(substitute, layer.forward)
        yield


def _module_lock(module: nn.Module) -> threading.RLock:
    with _guard:
        return _locks.setdefault(module, threading.RLock())


def _for_this_thread(hook: Hook) -> Hook:
    owner = threading.get_ident()

    def guarded(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if threading.get_ident() == owner:
            hook(layer, inputs, output)

    return guarded


def _substitute_forward(
    substitute: Callable[[], Any], original: Callable[..., Any]
) -> Callable[..., Any]:
    owner = threading.get_ident()

    def forward(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == owner:
            return substitute()
        return original(*args, **kwargs)

    return forward
