"""Where the queries of a task look in one face, layer by layer: the attention of the models' decoders as one array.

Faceptor: the cross-attention of its query decoder by the formula as written (section 3.2, equations 6 and 7 of the
paper). FaceXFormer: the attention from the task's tokens to the image in its two-way layers and in the read after them
(section 3.2 of its paper). Naive Faceptor has no queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from faceptor.errors import FaceptorError
from faceptor.models.attention import Attention
from faceptor.models.base import FaceModel
from faceptor.models.faceptor import Faceptor
from faceptor.models.facexformer import FaceXFormer
from faceptor.models.textbook import attention as by_formula

WITH_QUERIES = (Faceptor, FaceXFormer)
TOKENS_TO_IMAGE = ("token_to_image", "final_attention")  # the cross-attentions of FaceXFormer that tokens read with


def query_attention(model: FaceModel, image: Tensor, task: str) -> np.ndarray:
    """The attention of a task's queries in one face, as float32 (decoder layers, queries, encoder layers, H, W).

    image: (3, S, S) or (1, 3, S, S), float RGB in [0, 1], cropped as the task's images are; H W is the grid of tokens,
    row-major, its first row the top of the image. The mean over heads; every query of every decoder layer sums to 1
    over encoder layers, H and W. FaceXFormer has one "encoder layer", its fused face representation, and one decoder
    layer more than two-way layers, the final read. Raises ConfigError for a task without queries and FaceptorError for
    a model whose tasks have none.
    """
    image = image[None] if image.ndim == 3 else image
    if len(image) != 1:
        raise FaceptorError(f"image: expected one face, (3, S, S) or (1, 3, S, S), found {tuple(image.shape)}")
    _require_queries(model)
    read = _of_faceptor if isinstance(model, Faceptor) else _of_facexformer
    return read(model, image.to(next(model.parameters())), task).float().cpu().numpy()


def has_queries(model: FaceModel) -> bool:
    """Whether the tasks of a model of this sort have queries; those of Naive Faceptor have heads of their own."""
    return isinstance(model, WITH_QUERIES)


def attended_layers(model: FaceModel, task: str) -> tuple[str, ...]:
    """Names of the encoder layers of `query_attention`, bottom first: "layer 6"; "fused" for FaceXFormer."""
    _require_queries(model)
    model.require_task(task)
    if not isinstance(model, Faceptor):
        return ("fused",)
    seen = model.layers if model.layer_attention_key(task) else model.layers[-1:]
    return tuple(f"layer {layer}" for layer in seen)


def query_names(model: FaceModel, task: str) -> tuple[str, ...]:
    """Names of the queries of `query_attention`: the task's labels, where it has a query for each; else the task's
    name, and a number where it has several."""
    _require_queries(model)
    labels = model.require_task(task).labels
    count = _count(model, task)
    if count == len(labels):
        return tuple(map(str, labels))
    return (task,) if count == 1 else tuple(f"{task} {number}" for number in range(1, count + 1))


def _count(model: FaceModel, task: str) -> int:
    if isinstance(model, FaceXFormer):
        span = model.spans()[task]
        return span.stop - span.start
    return len(model.queries[task].content) if task in model.queries else 0


def _require_queries(model: FaceModel) -> None:
    if not has_queries(model):
        known, name = ", ".join(kind.__name__ for kind in WITH_QUERIES), type(model).__name__
        raise FaceptorError(f"{name}: its tasks have no queries, so no attention to show; expected {known}")


def _of_faceptor(model: Faceptor, image: Tensor, task: str) -> Tensor:
    report = model.attention(image, task)
    height, width = report.grid
    return reduce(report.weights, "d 1 heads n l (h w) -> d n l h w", "mean", h=height, w=width)


@torch.no_grad()
def _of_facexformer(model: FaceXFormer, image: Tensor, task: str) -> Tensor:
    model.check_images(image)
    model.require_task(task)
    with attending(model.decoder) as calls:
        _, face = model.decode(model.normalise(image, task))
    if not calls:
        raise FaceptorError(f"{task}: the decoder of this FaceXFormer has no attention from tokens to the image")
    height, own = face.shape[-2], model.spans()[task]
    per_layer = [by_formula(module, *inputs)[1][:, :, own] for module, inputs in calls]
    return rearrange(torch.stack(per_layer).mean(dim=2), "d 1 n (h w) -> d n 1 h w", h=height)


@contextmanager
def attending(decoder: nn.Module) -> Iterator[list[tuple[Attention, tuple[Tensor, ...]]]]:
    """The attentions from tokens to the image in the order in which they are called, each with its inputs."""
    calls: list[tuple[Attention, tuple[Tensor, ...]]] = []
    modules = [module for name, module in decoder.named_modules() if name.split(".")[-1] in TOKENS_TO_IMAGE]
    hooks = [m.register_forward_pre_hook(lambda module, inputs: calls.append((module, inputs))) for m in modules]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
