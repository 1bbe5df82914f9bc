"""What each variant changes in the padded U-Net, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from napari_fcn.config import NetworkConfig
from napari_fcn.networks import build_network, count_parameters, receptive_field

DEEP = {"deep_supervision": True}
ALL = [
    {"residual": True},
    {"down": "stride"},
    {"up": "nearest"},
    {"up": "indices"},
    DEEP,
    {"residual": True, "down": "stride", "up": "nearest", **DEEP},
    {"residual": True, "up": "indices", "batch_norm": False, "skips": False},
]


def unet(**options: object):
    options = {"width": 4, "depth": 2, **options}
    return build_network(NetworkConfig(**options))


@pytest.mark.parametrize("options", ALL, ids=str)
@pytest.mark.parametrize("ndim", [2, 3])
def test_variants_combine(options, ndim):
    flat = ndim - 2
    network = unet(ndim=ndim, flat_levels=flat, **options).eval()
    assert receptive_field(network).stride == (4 // 2**flat, 4, 4)[:ndim]
    with torch.inference_mode():
        assert network(torch.rand(2, 1, *(4, 8, 12)[:ndim])).shape[1] == 2


def test_parameters_by_hand():
    plain = count_parameters(unet())
    strided = count_parameters(unet(down="stride"))
    assert strided == plain + (4 * 4 + 1) * 4 + (4 * 8 + 1) * 8
    # 3x3 for 2x2 kernels on the way up
    nearest = count_parameters(unet(up="nearest"))
    assert nearest == plain + (9 - 4) * (8 * 4 + 16 * 8)
    indices = count_parameters(unet(up="indices"))
    assert indices == plain + (1 - 4) * (8 * 4 + 16 * 8)
    # a 1x1 convolution wherever a block changes its channels: 2 -> 4 is the first
    residual = count_parameters(unet(residual=True))
    encoder, decoder = 2 * 4 + 4 * 8 + 8 * 16, 8 * 4 + 16 * 8
    assert residual == plain + encoder + decoder
    # one class score of each coarser level, 8 channels here
    assert count_parameters(unet(**DEEP)) == plain + (8 + 1) * 2


def test_a_residual_block_can_do_nothing():
    """With its last weights at zero it passes on what it gets."""
    block = unet(residual=True).eval().decoder[0]
    features = torch.rand(1, 8, 6, 6)
    for parameter in block.body.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.inference_mode():
        expected = block.shortcut(features).relu()
        assert torch.equal(block(features), expected)


def test_strided_convolutions_do_not_overlap():
    network = unet(down="stride")
    assert receptive_field(network) == receptive_field(unet())


def test_auxiliary_outputs_are_for_training_only():
    network = unet(depth=3, **DEEP)
    image = torch.rand(2, 1, 16, 24)
    levels = network(image)
    assert isinstance(levels, tuple)
    assert [x.shape for x in levels] == [(2, 2, 16, 24)] * 3
    for level, logits in enumerate(levels):
        blocks = logits.detach().unfold(2, 2**level, 2**level)
        blocks = blocks.unfold(3, 2**level, 2**level).flatten(-2)
        assert torch.equal(blocks, blocks[..., :1].expand_as(blocks))
    network.eval()
    assert isinstance(network(image), torch.Tensor)
    assert receptive_field(network.train()) == receptive_field(unet(depth=3))
    assert network.training


def test_deep_supervision_changes_nothing_else():
    torch.manual_seed(0)
    plain = unet().eval()
    deep = unet(**DEEP).eval()
    deep.load_state_dict(plain.state_dict(), strict=False)
    image = torch.rand(1, 1, 8, 8)
    with torch.inference_mode():
        assert torch.equal(plain(image), deep(image))


def test_indices_need_pooling():
    with pytest.raises(ValidationError, match="pool"):
        NetworkConfig(up="indices", down="stride")


def test_names_are_presets_that_can_be_changed():
    assert NetworkConfig(name="unet-indices").up == "indices"
    assert NetworkConfig(name="unet-indices", up="nearest").up == "nearest"
    assert NetworkConfig(name="unet-2015").width == 64
    assert NetworkConfig(name="unet-2015", width=8).width == 8
    assert NetworkConfig(name="unet-2015", ndim=3).width == 16
    assert NetworkConfig() == NetworkConfig(name="unet", width=16, depth=3)


def test_descriptions_saved_before_there_were_variants():
    old = (
        '{"name":"unet","ndim":3,"in_channels":2,"out_channels":3,"width":8,"depth":2,'
        '"batch_norm":true,"skips":true,"flat_levels":1}'
    )
    config = NetworkConfig.model_validate_json(old)
    assert config == NetworkConfig(
        ndim=3, in_channels=2, out_channels=3, width=8, depth=2, flat_levels=1
    )
    again = NetworkConfig.model_validate_json(config.model_dump_json())
    assert again == config


@pytest.mark.parametrize("name", [None, 3, ["unet"], {"a": 1}])
def test_names_that_are_none(name):
    with pytest.raises(ValidationError):
        NetworkConfig.model_validate({"name": name})
