"""Work and memory: by hand for tiny models, against real tensors, and as bookkeeping of the presets."""

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from faceptor.analysis import compute
from faceptor.analysis.budget import meta_model
from faceptor.analysis.trace import Alive, kept, work
from faceptor.models.build import build_model
from faceptor.pipeline.experiment import preset

FLOAT = 4


class Tiny(nn.Module):
    """A convolution, attention of one head, a linear map and a ReLU: each product can be counted by hand."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, kernel_size=4, stride=4, bias=False)
        self.qkv = nn.Linear(8, 24)
        self.head = nn.Sequential(nn.Linear(8, 5), nn.ReLU())

    def forward(self, images):
        tokens = self.stem(images).flatten(2).transpose(1, 2)  # (B, 16, 8)
        q, k, v = self.qkv(tokens)[:, None].chunk(3, dim=-1)
        return self.head(F.scaled_dot_product_attention(q, k, v)[:, 0])


BY_HAND = {
    "stem": 16 * (4 * 4 * 3) * 8,
    "qkv": 16 * 8 * 24,
    "": 2 * 16 * 16 * 8,  # QK and AV, in the model's own forward
    "head": 16 * 8 * 5,
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_macs_by_hand(device):
    tiny, image = Tiny().to(device), torch.zeros(1, 3, 16, 16, device=device)
    assert work(tiny, image).macs == BY_HAND  # fused attention on the CPU, plain products on meta
    assert work(tiny, image.repeat(3, 1, 1, 1)).macs == {name: 3 * count for name, count in BY_HAND.items()}


def test_kept_for_backward_by_hand():
    tiny, image = Tiny(), torch.zeros(1, 3, 16, 16)
    assert kept(tiny, image) == {
        "stem": 3 * 16 * 16 * FLOAT,  # its input; the weight is the model's own
        "qkv": 16 * 8 * FLOAT,  # its input, the tokens
        # q, k, v lie in the one output of qkv; the answer and the log of the softmax's sum are new.
        "": (16 * 24 + 16 * 8 + 16) * FLOAT,
        "head": 16 * 5 * FLOAT,  # ReLU keeps its output; the linear map's input is kept already
    }
    with torch.no_grad():
        assert kept(tiny, image) == {}


def test_what_the_graph_lets_go_is_not_kept():
    class Wasteful(nn.Sequential):
        def forward(self, x):
            super().forward(x).exp()  # its graph goes with it
            return super().forward(x)

    model = Wasteful(nn.Linear(4, 4, bias=False))
    assert kept(model, torch.zeros(2, 4)) == {"0": 2 * 4 * FLOAT}


def test_frozen_parts_keep_nothing():
    tiny = Tiny()
    for parameter in (*tiny.stem.parameters(), *tiny.qkv.parameters()):
        parameter.requires_grad_(False)
    # The linear map's input, which is the answer of the attention, and what ReLU keeps.
    assert kept(tiny, torch.zeros(1, 3, 16, 16)) == {"head": (16 * 8 + 16 * 5) * FLOAT}


def test_peak_is_the_most_alive_at_once():
    wide, narrow = 1000 * FLOAT, 10 * FLOAT
    model = nn.Sequential(nn.Linear(10, 1000), nn.ReLU(), nn.Linear(1000, 10))
    with torch.no_grad(), Alive() as alive:
        answer = model(torch.zeros(1, 10))
    assert alive.most == narrow + 2 * wide  # the input, and both sides of the ReLU
    assert alive.now == narrow  # the answer is left
    del answer
    assert alive.now == 0


def test_fake_tensors_cost_what_real_ones_do():
    embedded = preset("embedded")
    samples = dict.fromkeys(embedded.params.stage1.tasks, 2)
    real = build_model(embedded.params.model, embedded.joint_specs)
    size, tasks = next(iter(compute.passes(real).items()))
    kept, answered = compute.training(real, samples), compute.answering(real, tasks, size=size)
    with compute.fake(meta_model(embedded)) as model:
        assert compute.training(model, samples) == kept
        assert compute.answering(model, tasks, size=size) == answered
    assert sum(kept.saved.values()) > 0 and answered.peak > 0


def test_modes_and_checks_are_put_back():
    model = meta_model(preset("embedded"))
    model.train()
    model.encoder.eval()
    with compute.shapes_only(model, training=True, one_image=True):
        assert model.encoder.training and not model.training and not model.outputs.identity.bn1.training
    assert model.training and not model.encoder.training and "check_images" not in vars(model)


@pytest.fixture(scope="module")
def base():
    return compute.summary(preset("base"))


def test_base_by_hand(base):
    """The encoder of Faceptor-Base: patches, and per block four maps of the attention, its two products, the MLP."""
    for one in base["passes"]:
        cells, width = (one["size"] // 16) ** 2, 768
        tokens = cells + 1
        block = tokens * width * (4 * width + 8 * width) + 2 * tokens * tokens * width
        assert one["components"]["encoder"] == cells * width * 3 * 16 * 16 + 12 * block
    dense, face = base["passes"]
    assert (dense["size"], face["size"]) == (512, 112)
    maps = 2 * 128 * 128 * 256 * 256  # the last transposed convolution: four weights for every cell, a quarter each
    assert dense["components"]["pixel_decoder"] == 32 * 32 * 4 * 256 * 256 + maps // 2


def test_bookkeeping(base):
    samples = base["training_step"]["samples"]
    assert sum(one["macs"] for one in base["passes"]) == base["macs"] < base["macs_one_by_one"]
    assert sorted(name for one in base["passes"] for name in one["tasks"]) == sorted(samples)
    table = pd.DataFrame.from_dict(base["tasks"], orient="index")
    for one in base["passes"]:
        assert table.loc[one["tasks"], "macs"].max() < one["macs"]
        assert set(table.loc[one["tasks"], "size"]) == {one["size"]}
    # A step keeps at least what its images keep alone: copies for several images come on top.
    alone = sum(count * table.loc[name, "saved_bytes"] for name, count in samples.items())
    assert alone <= sum(base["training_step"]["components"].values()) < 1.05 * alone


def test_summary_can_leave_tasks_out():
    report = compute.summary(preset("embedded"), alone=False)
    assert report["tasks"] == {} and report["macs_one_by_one"] is None
    assert report["macs"] == sum(call["macs"] for call in report["passes"])
    assert report["training_step"]["saved_bytes"] == sum(report["training_step"]["components"].values())
