"""A convolutional stem for a vision tower: small ones, from scratch, see little without."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel


@dataclass(frozen=True)
class StemSpec:
    """What stands where InstructBLIP cuts an image into patches.

    Attributes:
        hidden_sizes: channels of each stage of a residual network.
        depths: basic blocks of each stage; the first keeps a quarter of the image's resolution,
            and each further one halves it.
    """

    hidden_sizes: tuple[int, ...] = (32, 64, 128)
    depths: tuple[int, ...] = (2, 2, 2)

    @property
    def stride(self) -> int:
        """Pixels from one patch to the next."""
        return int(2 ** (len(self.depths) + 1))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a configuration file."""
        return {name: list(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> StemSpec:
        """What :meth:`to_dict` made."""
        return cls(tuple(value["hidden_sizes"]), tuple(value["depths"]))


class Stem(nn.Module):
    """Pixels ``(B, 3, h, w)`` to patches ``(B, width, h / stride, w / stride)``.

    Its running statistics change only while it learns: a frozen tower stays as it is, whatever
    mode a trainer puts the whole model into.

    References:
        Xiao et al., "Early Convolutions Help Transformers See Better", 2021; He et al., "Deep
        Residual Learning for Image Recognition", 2016, as in transformers.
    """

    def __init__(self, spec: StemSpec, width: int) -> None:
        super().__init__()
        config = ResNetConfig(
            embedding_size=spec.hidden_sizes[0],
            hidden_sizes=list(spec.hidden_sizes),
            depths=list(spec.depths),
            layer_type="basic",
        )
        self.network = ResNetModel(config)
        self.patches = nn.Conv2d(spec.hidden_sizes[-1], width, 1)

    @property
    def weight(self) -> Tensor:
        """Whose type the tower's input takes."""
        return self.patches.weight

    def forward(self, pixels: Tensor) -> Tensor:
        """Patches, one a ``stride``."""
        maps = self.network(pixels, return_dict=True).last_hidden_state
        patches: Tensor = self.patches(maps)
        return patches

    def train(self, mode: bool = True) -> Stem:
        """As asked, where it learns."""
        return super().train(mode and self.weight.requires_grad)
