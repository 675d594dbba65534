"""Low-rank adapters (LoRA, Hu et al. 2022) on the linear maps of attention: not in the papers, beside their transfers.

An adapted map computes with W + up down, where W (out, in) stays as it is and up (out, r), down (r, in) learn. `merge`
writes the sum into W, so that the model is of its own structure again, and its folder needs nothing new.
"""

from timm.layers import Attention as SelfAttention
from timm.models.swin_transformer import WindowAttention
from torch import Tensor, nn
from torch.nn.utils import parametrize

from faceptor.errors import ConfigError
from faceptor.models.attention import Attention

LEARNT = "*.lora_*"  # pattern of the adapters' parameters
ATTENTIONS = (Attention, SelfAttention, WindowAttention)  # of decoders, of the ViT, of Swin


class LowRank(nn.Module):
    """W -> W + up down. down starts from N(0, 1 / in), up from zero: the adapted model starts as the one it adapts."""

    def __init__(self, weight: Tensor, *, rank: int):
        super().__init__()
        rows, columns = weight.shape
        self.lora_down = nn.Parameter(weight.new_empty(rank, columns).normal_(std=columns**-0.5))
        self.lora_up = nn.Parameter(weight.new_zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """(out, in) -> (out, in)."""
        return weight + self.lora_up @ self.lora_down


def adapt(model: nn.Module, *, rank: int) -> None:
    """Give every linear map of the model's attentions (encoder and decoders) an adapter of this rank.

    Their weights are still found under `weight`; the parameters `LEARNT` are new. ConfigError where nothing attends.
    """
    linears = attention_maps(model)
    if not linears:
        raise ConfigError(f"rank: {type(model).__name__} has no attention that could be adapted; leave it out")
    for linear in linears:
        parametrize.register_parametrization(linear, "weight", LowRank(linear.weight.detach(), rank=rank))


def merge(model: nn.Module) -> None:
    """Write what the adapters learnt into the weights and remove them; a model without any stays as it is."""
    for linear in attention_maps(model):
        if parametrize.is_parametrized(linear, "weight"):
            parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)


def attention_maps(model: nn.Module) -> list[nn.Linear]:
    """The linear maps of queries, keys, values and outputs of all attentions of a model."""
    attentions = [module for module in model.modules() if isinstance(module, ATTENTIONS)]
    return [child for module in attentions for child in module.children() if isinstance(child, nn.Linear)]
