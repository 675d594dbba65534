"""From the top layer's projected features to one embedding per pixel of the H/4 x W/4 map (paper eq. 5)."""

from timm.layers import LayerNorm2d
from torch import Tensor, nn


class PixelDecoder(nn.Sequential):
    """2x2 transposed convolutions of stride 2, `stages` of them, with a channel norm and a GELU in between.

    (B, dim, h, w) -> (B, dim, h * 2**stages, w * 2**stages)
    """

    def __init__(self, *, dim: int, stages: int):
        super().__init__()
        for stage in range(stages):
            if stage:
                self.add_module(f"norm{stage}", LayerNorm2d(dim, eps=1e-6))
                self.add_module(f"gelu{stage}", nn.GELU())
            self.add_module(f"up{stage}", nn.ConvTranspose2d(dim, dim, kernel_size=2, stride=2))

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features)
