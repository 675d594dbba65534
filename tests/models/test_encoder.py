import pytest
import torch

from faceptor.models.encoder import Encoder, TokenDropPath

SIZES = {"width": 24, "depth": 3, "heads": 2, "mlp_ratio": 2.0, "patch": 8, "grid": 4}


def encoder(**changes):
    torch.manual_seed(0)
    return Encoder(**SIZES | changes)


@pytest.mark.parametrize("stem", ["patch", "conv", "residual"])
@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("size", [(32, 32), (16, 40), (8, 8)])
def test_every_layer_comes_out_at_the_patch_grid(stem, class_token, size):
    features = encoder(stem=stem, class_token=class_token)(torch.randn(2, 3, *size))
    assert [tuple(layer.shape) for layer in features] == [(2, 24, size[0] // 8, size[1] // 8)] * 3
    assert all(layer.isfinite().all() for layer in features)


@pytest.mark.parametrize("stem", ["conv", "residual"])
@pytest.mark.parametrize("patch", [8, 16])
def test_conv_stems_count_their_own_stride(stem, patch):
    features = encoder(stem=stem, patch=patch)(torch.randn(1, 3, 48, 32))
    assert features[-1].shape[-2:] == (48 // patch, 32 // patch)


def test_a_residual_stem_shows_its_finer_maps_and_the_layers_stay_as_they_are():
    model = encoder(stem="residual", patch=16)
    images = torch.randn(2, 3, 48, 32)
    layers, details = model(images, details=True)
    torch.testing.assert_close(layers, model(images), atol=0, rtol=0)
    assert [tuple(part.shape[1:]) for part in details] == [(6, 24, 16), (12, 12, 8), (18, 6, 4)]
    assert model.stem.channels == [6, 12, 18, 24]
    assert encoder(stem="conv")(images, details=True)[1] == []


@pytest.mark.parametrize("stem", ["conv", "residual"])
def test_images_do_not_influence_each_other(stem):
    model = encoder(stem=stem).eval()
    images = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(model(images)[-1][1:2], model(images[1:2])[-1], atol=1e-5, rtol=0)


def test_position_table_is_itself_at_its_own_grid_and_bicubic_elsewhere():
    model = encoder()
    assert model.position_table(4, 4) is model.pos_embed
    table = model.position_table(2, 6)
    assert table.shape == (1, 1 + 12, 24)
    torch.testing.assert_close(table[:, 0], model.pos_embed[:, 0])
    with torch.no_grad():
        model.pos_embed[:, 1:] = 3.0  # a constant stays constant under any interpolation
    torch.testing.assert_close(model.position_table(2, 6)[:, 1:], torch.full((1, 12, 24), 3.0))


def test_the_table_moves_the_features():
    model = encoder().eval()
    images = torch.randn(1, 3, 32, 16)
    before = model(images)[0]
    with torch.no_grad():
        model.pos_embed.neg_()
    assert not torch.allclose(model(images)[0], before)


def test_numbers_no_output_would_show():
    """Norms use eps 1e-5 and the activation is x * sigmoid(1.702 x)."""
    model = encoder()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert len(norms) == 1 + 2 * 3
    assert {norm.eps for norm in norms} == {1e-5}
    x = torch.linspace(-3, 3, 7)
    torch.testing.assert_close(model.blocks[0].mlp.act(x), x * torch.sigmoid(1.702 * x))


def test_drop_path_rises_linearly_and_is_off_in_evaluation():
    for axis in ("paper", "released"):
        model = encoder(drop_path=0.2, drop_path_axis=axis)
        rates = [getattr(block.drop_path2, "drop_prob", 0.0) for block in model.blocks]
        assert rates == pytest.approx([0.0, 0.1, 0.2])
        images = torch.randn(2, 3, 32, 32)
        model.eval()
        torch.testing.assert_close(model(images)[-1], model(images)[-1], atol=0, rtol=0)
        model.train()
        assert not torch.equal(model(images)[-1], model(images)[-1])


def test_released_axis_drops_token_positions_of_all_images_alike():
    torch.manual_seed(0)
    drop = TokenDropPath(0.25).train()
    kept = drop(torch.ones(3, 400, 5))
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (kept == kept[:1, :, :1]).all()
    assert 0.15 < (kept[0, :, 0] == 0).float().mean() < 0.35
    assert drop.eval()(kept) is kept


def test_paper_axis_drops_whole_samples():
    torch.manual_seed(0)
    drop = encoder(drop_path=0.5).train().blocks[-1].drop_path1
    kept = drop(torch.ones(40, 6, 5))
    assert (kept == kept[:, :1, :1]).all()
    assert 0 < (kept[:, 0, 0] == 0).sum() < 40


def test_extras_are_kept_frozen_and_unused():
    model = encoder(extras=True)
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    assert sorted(frozen) == ["extras.norm.bias", "extras.norm.weight", "extras.projection"]
    assert all(parameter.frozen for parameter in frozen.values())
    assert frozen["extras.projection"].shape == (24, 512)
