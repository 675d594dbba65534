"""Positions, pixel decoder, output modules: what the recorded outputs would not show."""

import math

import pytest
import torch
from torch import nn

from faceptor.models.outputs import IdentityOutput, MapOutput, ValueOutput
from faceptor.models.pixel_decoder import PixelDecoder
from faceptor.models.positions import SinePosition, TablePosition
from faceptor.models.query_decoder import DecoderLayer


def test_sine_position_by_hand():
    position = SinePosition(dim=8)
    position.mlp = nn.Identity()
    found = position(2, 4)[1 * 4 + 2]  # row 1 of 2, column 2 of 4
    y, x = 2 * math.pi * 1.5 / 2, 2 * math.pi * 2.5 / 4
    slow = 10000 ** (-2 / 4)
    expected = [f(v * s) for v in (y, x) for s in (1, slow) for f in (math.sin, math.cos)]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)


def test_table_position_is_read_row_by_row_and_resized():
    position = TablePosition(dim=4, grid=3)
    torch.testing.assert_close(position(3, 3)[1 * 3 + 2], position.table[:, 1, 2])
    assert position(2, 5).shape == (10, 4)


@pytest.mark.parametrize("stages", [0, 1, 2, 3])
def test_pixel_decoder_doubles_per_stage(stages):
    decoder = PixelDecoder(dim=8, stages=stages)
    assert decoder(torch.randn(2, 8, 3, 5)).shape == (2, 8, 3 * 2**stages, 5 * 2**stages)
    assert [module.eps for module in decoder.children() if hasattr(module, "eps")] == [1e-6] * max(stages - 1, 0)


def test_skips_carry_what_the_tokens_lost():
    """Each pixel of the finest map moves its own surroundings, through a 3x3 convolution, and nothing else."""
    decoder = PixelDecoder(dim=8, stages=2, skips=[5, 3])
    x, finer = torch.randn(1, 8, 2, 3), [torch.randn(1, 5, 4, 6), torch.randn(1, 3, 8, 12)]
    before = decoder(x, finer)
    assert before.shape == (1, 8, 8, 12)
    finer[1][0, :, 4, 7] += 1
    moved = (decoder(x, finer) != before).any(dim=1)[0]
    assert moved.nonzero().aminmax(dim=0).min.tolist() == [3, 6]
    assert moved.nonzero().aminmax(dim=0).max.tolist() == [5, 8]
    finer[0] += 1
    assert (decoder(x, finer) != before).all()


def test_map_logits_are_dot_products_of_query_and_pixel():
    output = MapOutput(dim=4)
    output.mlp = nn.Identity()
    tokens, pixels = torch.randn(2, 3, 4), torch.randn(2, 4, 5, 6)
    logits = output(tokens, pixels)
    torch.testing.assert_close(logits[1, 2, 3, 4], tokens[1, 2] @ pixels[1, :, 3, 4])


def test_value_output_is_one_number_per_query():
    output = ValueOutput(dim=4)
    tokens = torch.randn(2, 3, 4)
    torch.testing.assert_close(output(tokens), tokens @ output.linear.weight[0] + output.linear.bias)


def test_identity_output_pools_the_mean_token():
    output = IdentityOutput(dim=8, embedding=4).eval()
    assert (output.bn1.eps, output.bn2.eps, output.norm.eps) == (2e-5, 2e-5, 1e-5)
    features = torch.randn(2, 8, 3, 5)
    shuffled = features.flatten(2)[:, :, torch.randperm(15)].unflatten(2, (5, 3))
    torch.testing.assert_close(output(features), output(shuffled), atol=1e-6, rtol=0)


def test_decoder_layer_norms_and_initial_spread():
    torch.manual_seed(0)
    layer = DecoderLayer(dim=64, heads=4, hidden=256)
    norms = [module for module in layer.modules() if isinstance(module, nn.LayerNorm)]
    assert [norm.eps for norm in norms] == [1e-5] * 3
    for linear in (module for module in layer.modules() if isinstance(module, nn.Linear)):
        assert linear.weight.std().item() == pytest.approx(linear.in_features**-0.5, rel=0.1)
        assert not linear.bias.any()
