"""From the top layer's projected features to one embedding per pixel of the H/4 x W/4 map (paper eq. 5).

Shapes: B images, h w patch grid, `dim` channels.
"""

from collections.abc import Sequence

from timm.layers import LayerNorm2d
from torch import Tensor, nn


class PixelDecoder(nn.Module):
    """2x2 transposed convolutions of stride 2, `stages` of them, with a channel norm and a GELU in between.

    (B, dim, h, w) -> (B, dim, h * 2**stages, w * 2**stages)

    skips: channels of finer maps that join after each stage, coarsest first, as in a U-Net; a 3x3 convolution then
    mixes them with the rest. The papers' model has none: a large ViT carries fine detail through its tokens, a small
    one loses it.
    """

    def __init__(self, *, dim: int, stages: int, skips: Sequence[int] = ()):
        super().__init__()
        self.stages = stages
        for stage in range(stages):
            if stage:
                self.add_module(f"norm{stage}", LayerNorm2d(dim, eps=1e-6))
                self.add_module(f"gelu{stage}", nn.GELU())
            self.add_module(f"up{stage}", nn.ConvTranspose2d(dim, dim, kernel_size=2, stride=2))
        self.skips = nn.ModuleList(nn.Conv2d(channels, dim, kernel_size=1) for channels in skips)
        if skips:
            self.mix = nn.Sequential(
                LayerNorm2d(dim, eps=1e-6),
                nn.GELU(),
                nn.Conv2d(dim, dim // 2, kernel_size=1),
                nn.GELU(),
                nn.Conv2d(dim // 2, dim, kernel_size=3, padding=1),
            )

    def forward(self, x: Tensor, finer: Sequence[Tensor] = ()) -> Tensor:
        """finer: a map for each of `skips`, (B, channels, h * 2**i, w * 2**i) for i = 1, 2, ..."""
        for stage in range(self.stages):
            if stage:
                x = self.get_submodule(f"gelu{stage}")(self.get_submodule(f"norm{stage}")(x))
            x = self.get_submodule(f"up{stage}")(x)
            if self.skips:
                x = x + self.skips[stage](finer[stage])
        return x + self.mix(x) if self.skips else x
