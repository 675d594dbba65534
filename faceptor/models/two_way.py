"""FaceX, the decoder of FaceXFormer: tokens and image attend to each other (section 3.2).

Shapes: B images, C width, h w grid of the face representation, M = h * w image tokens, N task tokens.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from faceptor.models.attention import Attention
from faceptor.models.modules import ModuleList


class TwoWayDecoder(nn.Module):
    """`depth` two-way layers, then the tokens attend to the image once more.

    The tokens as they start are also the tokens' position; the image's is added to its queries and keys, never to
    values. Cross-attentions work at half the width.

    cross_attention: "two_way", and for the ablation of Table 7 "token_to_image" (row 3: the image is not refined) and
    "none" (row 2: the tokens see no image at all, the last look included). What is left out has no parameters.
    """

    def __init__(self, *, dim: int, depth: int, heads: int, hidden: int, cross_attention: str = "two_way"):
        super().__init__()
        self.layers: ModuleList[TwoWayLayer] = ModuleList(
            TwoWayLayer(dim=dim, heads=heads, hidden=hidden, first=index == 0, cross_attention=cross_attention)
            for index in range(depth)
        )
        self.reads_image = cross_attention != "none"
        if self.reads_image:
            self.final_attention = _cross(dim, heads)
        self.final_norm = nn.LayerNorm(dim)

    @torch.no_grad()
    def initialise(self, *, self_attention_gain: float, token_to_image_gain: float) -> None:
        """For a training without published weights; gains are of attention scores.

        The first self-attention replaces the tokens. Nearly uniform, as it usually starts, it makes them all the same,
        and a hundred equal tokens take thousands of faces to part. Here it starts by handing every token on to itself.
        """
        first, gain = self.layers[0].self_attention, self_attention_gain**0.5  # of queries and keys each
        for linear, factor in ((first.query, gain), (first.key, gain), (first.value, 1.0), (first.output, 1.0)):
            nn.init.eye_(linear.weight).mul_(factor)
            nn.init.zeros_(linear.bias)
        if self.reads_image:
            for attention in [*(layer.token_to_image for layer in self.layers), self.final_attention]:
                attention.query.weight.mul_(token_to_image_gain)

    def forward(self, tokens: Tensor, face: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """tokens (N, C), the same for every image; face F (B, C, h, w); position (h * w, C).

        Returns tokens (B, N, C) and the refined face representation (B, C, h, w).
        """
        height = face.shape[-2]
        image = rearrange(face, "b c h w -> b (h w) c")
        initial = tokens = tokens.expand(face.shape[0], -1, -1)
        for layer in self.layers:
            tokens, image = layer(tokens, image, initial, position)
        if self.reads_image:
            tokens = tokens + self.final_attention(tokens + initial, image + position, image)
        return self.final_norm(tokens), rearrange(image, "b (h w) c -> b c h w", h=height)


class TwoWayLayer(nn.Module):
    """Tokens among themselves, tokens to image, feed-forward, image to tokens; a norm after each (eps 1e-5).

    In the first layer the tokens have nothing to add to yet: their self-attention replaces them, without position.
    cross_attention: see TwoWayDecoder.
    """

    def __init__(self, *, dim: int, heads: int, hidden: int, first: bool, cross_attention: str):
        super().__init__()
        self.first = first
        self.self_attention = Attention(dim=dim, heads=heads)
        self.self_norm = nn.LayerNorm(dim)
        self.reads_image, self.refines_image = cross_attention != "none", cross_attention == "two_way"
        if self.reads_image:
            self.token_to_image = _cross(dim, heads)
            self.token_to_image_norm = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.feed_forward_norm = nn.LayerNorm(dim)
        if self.refines_image:
            self.image_to_token = _cross(dim, heads)
            self.image_to_token_norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, initial: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """tokens, and as they were at first, (B, N, C); image (B, M, C); position (M, C)."""
        if self.first:
            tokens = self.self_attention(tokens, tokens, tokens)
        else:
            tokens = tokens + self.self_attention(tokens + initial, tokens + initial, tokens)
        tokens = self.self_norm(tokens)
        if self.reads_image:
            tokens = self.token_to_image_norm(tokens + self.token_to_image(tokens + initial, image + position, image))
        tokens = self.feed_forward_norm(tokens + self.feed_forward(tokens))
        if self.refines_image:
            image = self.image_to_token_norm(image + self.image_to_token(image + position, tokens + initial, tokens))
        return tokens, image


def _cross(dim: int, heads: int) -> Attention:
    """Attention between tokens and image, at half the width."""
    return Attention(dim=dim, inner=dim // 2, heads=heads)
