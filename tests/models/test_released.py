"""Released weights reproduce the recorded outputs of the published code."""

import torch
from model_goldens import ModelGolden, released_state, weight
from torch.nn import functional as F

import pytest

from faceptor.errors import ConfigError, WeightsError
from faceptor.models.encoder import Encoder
from faceptor.models.released import TASK_NAMES, faceptor_from, load_farl, load_released
from faceptor.models.textbook import textbook_decode

VALUE_TASKS = ("age_morph2", "biattr_celeba", "affect_affectnet", "affect_rafdb")


def identity_statistics(model):
    """The recorded inputs are normalised already."""
    for group in model.inputs.values():
        group.statistics = ((0.0,) * 3, (1.0,) * 3)
        group.mean.zero_()
        group.std.fill_(1.0)
    return model


@pytest.fixture(scope="module")
def base():
    torch.set_grad_enabled(False)
    yield identity_statistics(faceptor_from(released_state("faceptor_base")))
    torch.set_grad_enabled(True)
