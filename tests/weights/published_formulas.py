"""The published networks as formulas on the tensors of their files, under the files' own names.

Written from the description alone, shares nothing with the package, and is as plain as it can be: one task at a time,
one image size at a time. Images are normalised already.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

ORDER = (11, 1, 3, 5, 7, 9)  # blocks (0-based) in the order in which stage 2 puts them side by side


class Tensors:
    """state: published name -> tensor; `below` says where names start."""

    def __init__(self, state: dict[str, Tensor], below: str):
        self.state, self.below = state, below

    def __call__(self, name: str) -> Tensor:
        return self.state[self.below + name]

    def __contains__(self, name: str) -> bool:
        return self.below + name in self.state

    def linear(self, x: Tensor, name: str) -> Tensor:
        bias = f"{name}.bias"
        return x @ self(f"{name}.weight").T + (self(bias) if bias in self else 0)

    def norm(self, x: Tensor, name: str, eps: float = 1e-5) -> Tensor:
        mean, spread = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        return (x - mean) / (spread + eps).sqrt() * self(f"{name}.weight") + self(f"{name}.bias")

    def batch_norm(self, x: Tensor, name: str) -> Tensor:
        scale = self(f"{name}.weight") / (self(f"{name}.running_var") + 2e-5).sqrt()
        return (x - self(f"{name}.running_mean")) * scale + self(f"{name}.bias")

    def attention(self, name: str, *, query: Tensor, key: Tensor, value: Tensor, heads: int) -> tuple[Tensor, Tensor]:
        """Of (N, C), (M, C), (M, C): the answer (N, C) and the weights (heads, N, M)."""
        weights, biases = self(f"{name}.in_proj_weight").chunk(3), self(f"{name}.in_proj_bias").chunk(3)
        q, k, v = (
            (x @ weight.T + bias).unflatten(-1, (heads, -1)).transpose(0, 1)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        looks = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
        return self.linear((looks @ v).transpose(0, 1).flatten(1), f"{name}.out_proj"), looks


def encode(state: dict[str, Tensor], image: Tensor, *, heads: int, below: str = "backbone_module.visual."):
    """One image (3, S, S) -> the features (C, n, n) of every block, bottom first."""
    w = Tensors(state, below)
    patches = F.conv2d(image[None], w("conv1.weight"), stride=w("conv1.weight").shape[-1])[0]
    cells = patches.shape[-1]
    table = w("positional_embedding")
    side = math.isqrt(len(table) - 1)
    grid = table[1:].T.reshape(1, -1, side, side)
    grid = F.interpolate(grid, size=(cells, cells), mode="bicubic", align_corners=False, antialias=False)
    x = torch.cat([w("class_embedding")[None] + table[:1], patches.flatten(1).T + grid[0].flatten(1).T])
    x, features = w.norm(x, "ln_pre"), []
    for number in range(sum(name.endswith("attn.in_proj_weight") for name in state if name.startswith(below))):
        block = f"transformer.resblocks.{number}."
        normed = w.norm(x, block + "ln_1")
        x = x + w.attention(block + "attn", query=normed, key=normed, value=normed, heads=heads)[0]
        hidden = w.linear(w.norm(x, block + "ln_2"), block + "mlp.c_fc")
        x = x + w.linear(hidden * (1.702 * hidden).sigmoid(), block + "mlp.c_proj")
        features.append(x[1:].T.unflatten(1, (cells, cells)))
    return features


def identity(state: dict[str, Tensor], top: Tensor) -> Tensor:
    """Features (C, n, n) of the top block -> the embedding."""
    w = Tensors(state, "heads_module.interpreters.feature_v2.")
    x = w.norm(top.flatten(1).T, "norm").mean(0)
    x = w.batch_norm(w.linear(x, "head.0"), "head.1")
    return w.batch_norm(w.linear(x, "head.2"), "head.3")


def decode(state, features, task: str, *, heads: int, order=(-1,)) -> tuple[Tensor, list[Tensor]]:
    """A task's tokens (N, C), and per decoder layer the share (N, levels) that each level has of its attention.

    order: which features are the levels; the first is the top one, the others are those of stage 2.
    """
    w = Tensors(state, "heads_module.decoder.")
    names = ["input_proj.0", *(f"new_input_proj.{number}" for number in range(len(order) - 1))]
    vectors = torch.cat([w("level_embed.weight"), *([w("new_level_embed.weight")] if len(order) > 1 else [])])
    place = _sine(features[0].shape[-1], w("level_embed.weight").shape[1])
    place = w.linear(w.linear(place, "adapt_pos2d.0").relu(), "adapt_pos2d.2")
    values, keys = [], []
    for number, name, vector in zip(order, names, vectors, strict=True):
        memory = F.conv2d(features[number][None], w(f"{name}.weight"), w(f"{name}.bias"))[0].flatten(1).T
        values.append(memory)
        keys.append(memory + place + vector)
    x, position = w(f"query_feat.{task}.weight"), w(f"query_embed.{task}.weight")
    shares = []
    for number in range(sum(name.endswith("ffn_layers.linear1.weight") for name in _numberless(state))):
        cross = f"transformer_cross_attention_layers.{number}."
        seen, looks = w.attention(
            cross + "multihead_attn", query=x + position, key=torch.cat(keys), value=torch.cat(values), heads=heads
        )
        shares.append(looks.mean(0).unflatten(-1, (len(order), -1)).sum(-1))
        x = w.norm(x + seen, cross + "norm")
        own = f"transformer_self_attention_layers.{number}."
        heard, _ = w.attention(own + "self_attn", query=x + position, key=x + position, value=x, heads=heads)
        x = w.norm(x + heard, own + "norm")
        feed = f"transformer_ffn_layers.{number}."
        x = w.norm(x + w.linear(w.linear(x, feed + "linear1").relu(), feed + "linear2"), feed + "norm")
    return x, shares


def value(state: dict[str, Tensor], tokens: Tensor) -> Tensor:
    return Tensors(state, "heads_module.interpreters.value.").linear(tokens, "fc")[:, 0]


def maps(state: dict[str, Tensor], tokens: Tensor, top: Tensor) -> Tensor:
    """Tokens (N, C) and the top features (C, n, n) -> map logits (N, 4n, 4n)."""
    w = Tensors(state, "heads_module.interpreters.map_v2.")
    memory = Tensors(state, "heads_module.decoder.input_proj.0.")
    x = F.conv2d(top[None], memory("weight"), memory("bias"))
    x = F.conv_transpose2d(x, w("mask_map.0.weight"), w("mask_map.0.bias"), stride=2)
    x = F.gelu(w.norm(x.movedim(1, -1), "mask_map.1", eps=1e-6)).movedim(-1, 1)
    x = F.conv_transpose2d(x, w("mask_map.3.weight"), w("mask_map.3.bias"), stride=2)[0]
    for number in range(3):
        tokens = w.linear(tokens, f"mask_embed.layers.{number}")
        tokens = tokens.relu() if number < 2 else tokens
    return torch.einsum("nc,chw->nhw", tokens, x)


def _sine(cells: int, width: int) -> Tensor:
    """The centre of every cell, row by row, as sines and cosines: (cells * cells, width), y before x."""
    number = torch.arange(width // 2)
    frequency = 10000.0 ** (-2 * (number // 2) / (width // 2))
    angle = (torch.arange(cells) + 0.5)[:, None] / cells * 2 * math.pi * frequency
    axis = torch.where(number % 2 == 0, angle.sin(), angle.cos())
    return torch.cat([axis.repeat_interleave(cells, dim=0), axis.repeat(cells, 1)], dim=1)


def _numberless(state: dict[str, Tensor]) -> list[str]:
    return [".".join(part for part in name.split(".") if not part.isdigit()) for name in state]
