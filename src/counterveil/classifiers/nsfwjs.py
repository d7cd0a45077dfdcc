"""nsfwjs's networks: ``nsfwjs:FILE.tgz#mobilenet_v2|inception_v3[#CLASS+CLASS]``."""

from __future__ import annotations

from pathlib import Path

from counterveil.classifiers.keras import KerasNetwork
from counterveil.classifiers.labels import label_indices
from counterveil.classifiers.nsfwjs_cache import load_network
from counterveil.classifiers.preprocessing import InputSpec
from counterveil.classifiers.torch_classifier import TorchClassifier
from counterveil.errors import ModelError, UsageError
from counterveil.types import ModelInfo

NETWORKS = ("mobilenet_v2", "inception_v3")
CLASSES = ("Drawing", "Hentai", "Neutral", "Porn", "Sexy")
"""The outputs, in order."""
UNSAFE = "Hentai+Porn+Sexy"
"""The classes that mean unsafe where the spec names none."""


def load(argument: str, *, device: str = "cpu", folder: Path | None = None) -> TorchClassifier:
    """Load a network from the archive that ``npm pack nsfwjs`` makes; nothing in it is run.

    P(unsafe) is the sum of the unsafe classes after a softmax. The whole image is squashed to the
    network's input, sampled bilinearly with aligned corners, as nsfwjs does.

    Args:
        argument: ``FILE.tgz#NETWORK``, or ``FILE.tgz#NETWORK#CLASS+CLASS``.
        device: torch device.
        folder: where a relative path starts.

    Raises:
        UsageError: the argument is incomplete, or names an unknown network or class.
        ModelError: the archive cannot be read, or is not laid out as nsfwjs 4.4.0 is.

    References:
        Infinite Red, "NSFW JS", 2019; trained on Kim's nsfw_data_scraper.
    """
    spec = f"nsfwjs:{argument}"
    file, network, labels = _parts(spec, argument)
    unsafe = label_indices(labels, dict(enumerate(CLASSES)))
    if len(unsafe) == len(CLASSES):
        raise UsageError(f"{spec} calls every class unsafe; leave out the safe ones")
    header, weights = load_network((folder or Path()) / Path(file).expanduser(), network)
    try:
        module = KerasNetwork(header.layers, weights)
    except (LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{spec}: the network's description is incomplete ({error!r})") from error
    height, width = header.size
    return TorchClassifier(
        module.requires_grad_(False),
        info=ModelInfo(spec, header.version, header.sha256),
        unsafe_indices=unsafe,
        input_spec=InputSpec(
            height, width, mean=(0, 0, 0), std=(1, 1, 1), antialias=False, align_corners=True
        ),
        device=device,
    )


def _parts(spec: str, argument: str) -> tuple[str, str, str]:
    """File, network and classes."""
    file, *rest = argument.split("#")
    if not file or len(rest) not in (1, 2) or rest[0] not in NETWORKS:
        raise UsageError(
            f"{spec!r} is incomplete or wrong; write nsfwjs:FILE.tgz#NETWORK, or "
            f"nsfwjs:FILE.tgz#NETWORK#CLASS+CLASS, where the network is {' or '.join(NETWORKS)}"
        )
    return file, rest[0], rest[1] if len(rest) == 2 else UNSAFE
