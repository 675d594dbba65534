"""The shared encoder: a ViT whose every layer is kept (paper section 3.2, eq. 1).

Shapes: B images, C channels, h w patch grid (H / patch, W / patch).
"""

from functools import partial
from itertools import pairwise

import torch
from einops import rearrange
from timm.layers import (
    DropPath,
    HybridEmbed,
    LayerNorm,
    PatchEmbed,
    build_sincos2d_pos_embed,
    resample_abs_pos_embed,
)
from timm.models.resnet import BasicBlock
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import ConvStem
from torch import Tensor, nn

from faceptor.models.modules import freeze

FARL_EMBEDDING_WIDTH = 512  # of FaRL's image-text space, to which only the unused projection leads


class Encoder(VisionTransformer):
    """Pre-norm ViT with a norm before the blocks, x * sigmoid(1.702 x), and no norm after them.

    The position table (grid x grid cells, and the class token's row) is shared by all image sizes: it is resized
    bicubically (half-pixel centres, no antialias) to the actual grid in every forward pass.

    stem "patch" is one patch x patch convolution without bias; "conv" is a chain of strided 3x3 convolutions and
    "residual" one with residual blocks between them, which small encoders trained from scratch need. drop_path rises
    linearly over the blocks; its axis is "paper" (whole residual branches per sample) or "released" (whole token
    positions, for all images of the batch together). extras keeps FaRL's final norm and projection, which nothing
    uses, as frozen parameters.
    """

    blocks: nn.Sequential
    pos_embed: nn.Parameter  # (1, class token + grid * grid, C)

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        patch: int,
        grid: int,
        stem: str = "patch",
        class_token: bool = True,
        norm_eps: float = 1e-5,
        drop_path: float = 0.0,
        drop_path_axis: str = "paper",
        extras: bool = False,
    ):
        super().__init__(
            img_size=grid * patch,
            patch_size=patch,
            num_classes=0,
            global_pool="",
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            mlp_ratio=mlp_ratio,
            class_token=class_token,
            pre_norm=True,
            final_norm=False,
            dynamic_img_size=True,
            drop_path_rate=drop_path,
            embed_layer=STEMS[stem],
            norm_layer=partial(LayerNorm, eps=norm_eps),
            act_layer="quick_gelu",
            weight_init="skip" if torch.get_default_device().type == "meta" else "",  # no numbers: slow, for nothing
        )
        if DROP_PATHS[drop_path_axis] is not DropPath:
            for block in self.blocks:
                for name in ("drop_path1", "drop_path2"):
                    if isinstance(getattr(block, name), DropPath):
                        setattr(block, name, DROP_PATHS[drop_path_axis](getattr(block, name).drop_prob))
        self.extras = FrozenExtras(width=width) if extras else None

    def forward(self, images: Tensor, *, details: bool = False) -> list[Tensor] | tuple[list[Tensor], list[Tensor]]:
        """Normalised images (B, 3, H, W) -> the features of every layer, bottom first, each (B, C, h, w).

        details: return also what a residual stem saw on the way to the grid, finest first: maps of stride 2, 4, ...,
        patch / 2 with `stem.channels` channels. Other stems have none to show.
        """
        if self.stem is None:
            finer, x = [], self.patch_embed(images)  # (B, h, w, C)
        else:
            *finer, x = self.stem(images)
            x = rearrange(x, "b c h w -> b h w c")
        h, w = x.shape[1:3]
        x = self.norm_pre(self._pos_embed(x))
        layers = []
        for block in self.blocks:
            x = block(x)
            layers.append(rearrange(x[:, self.num_prefix_tokens :], "b (h w) c -> b c h w", h=h, w=w))
        return (layers, finer) if details else layers

    @torch.no_grad()
    def initialise(self, *, position_table_amplitude: float) -> None:
        """For a training without published weights: Xavier weights in the blocks, sines of the grid as positions."""
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        grid = list(self.patch_embed.grid_size)
        table = build_sincos2d_pos_embed(grid, dim=self.embed_dim, interleave_sin_cos=False)
        self.pos_embed[:, self.num_prefix_tokens :] = position_table_amplitude * table

    @property
    def stem(self) -> "ResidualStem | None":
        stem = getattr(self.patch_embed, "backbone", None)
        return stem if isinstance(stem, ResidualStem) else None

    def _pos_embed(self, x: Tensor) -> Tensor:
        # As timm's, except that timm resizes with antialias, which the published weights were not trained with.
        h, w = x.shape[1:3]
        x = x.flatten(1, 2)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        return x + self.position_table(h, w)

    def position_table(self, h: int, w: int) -> Tensor:
        """The position table at a grid of h x w cells: (1, class token + h * w, C), row-major."""
        return resample_abs_pos_embed(
            self.pos_embed,
            new_size=[h, w],
            old_size=list(self.patch_embed.grid_size),
            num_prefix_tokens=self.num_prefix_tokens,
            antialias=False,
        )


class FrozenExtras(nn.Module):
    """FaRL's final norm and its projection to the image-text space: kept, counted, never used."""

    def __init__(self, *, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Parameter(torch.randn(width, FARL_EMBEDDING_WIDTH) * width**-0.5)
        freeze(self)


class TokenDropPath(nn.Module):
    """Stochastic depth that drops a residual branch at whole token positions, for all images of the batch alike.

    That is what the released code does: its blocks run on (tokens, batch, channels), and timm's drop path, made for
    batches first, draws along the first axis.
    """

    def __init__(self, drop_prob: float):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = 1 - self.drop_prob
        return x * x.new_empty(1, x.shape[1], 1).bernoulli_(keep).div_(keep)


def conv_stem(*, patch_size: int, in_chans: int, embed_dim: int, bias: bool, **sizes) -> HybridEmbed:
    """log2(patch) strided 3x3 convolutions that double the channels on their way to embed_dim.

    Their norms see one image at a time: batch statistics would mix image sizes and tasks.
    """
    steps = patch_size.bit_length() - 1
    stem = ConvStem(
        in_chans=in_chans,
        depth=steps,
        channels=tuple(max(embed_dim >> (steps - 1 - i), 8) for i in range(steps)),
        stride=(2,) * steps,
        norm_layer="groupnorm1",  # pyright: ignore[reportArgumentType]
        act_layer="relu",  # pyright: ignore[reportArgumentType]
    )
    return HybridEmbed(stem, in_chans=in_chans, embed_dim=embed_dim, bias=bias, proj=False, **sizes)


def _norm(channels: int, **placed) -> nn.GroupNorm:
    """Over groups of 16 channels of one image at a time, as in the plain stem."""
    return nn.GroupNorm(channels // 16 if channels % 16 == 0 else 1, channels, **placed)


class ResidualStem(nn.ModuleList):
    """log2(patch) strided 3x3 convolutions whose channels grow evenly to `dim`, all but the first followed by a
    residual block. Convolutions learn edges and textures from far fewer faces than a small transformer needs."""

    def __init__(self, *, patch: int, inputs: int, dim: int):
        steps = patch.bit_length() - 1
        self.channels = [dim * (i + 1) // steps for i in range(steps)]
        super().__init__()
        for before, after in pairwise([inputs, *self.channels]):
            convolution = nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1, bias=False)
            stage = nn.Sequential(convolution, _norm(after), nn.ReLU())
            if before != inputs:
                block = BasicBlock(after, after, norm_layer=_norm)  # pyright: ignore[reportArgumentType]
                block.zero_init_last()  # starts as the identity
                stage.append(block)
            self.append(stage)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, inputs, H, W) -> maps of stride 2, 4, ..., patch."""
        maps = [images]
        for stage in self:
            maps.append(stage(maps[-1]))
        return maps[1:]


def residual_stem(*, patch_size: int, in_chans: int, embed_dim: int, bias: bool, **sizes) -> HybridEmbed:
    stem = ResidualStem(patch=patch_size, inputs=in_chans, dim=embed_dim)
    return HybridEmbed(stem, in_chans=in_chans, embed_dim=embed_dim, bias=bias, proj=False, **sizes)


STEMS = {"patch": PatchEmbed, "conv": conv_stem, "residual": residual_stem}
DROP_PATHS = {"paper": DropPath, "released": TokenDropPath}
