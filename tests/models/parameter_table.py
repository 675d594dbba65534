"""Numbers of parameters as the papers count them."""

from torch import nn

from faceptor.analysis.components import part_of


def parameter_table(model: nn.Module) -> dict[str, int]:
    """Component -> number of parameters (tied ones once, no buffers); totals "decoder", "rest", and "sum" of all."""
    table: dict[str, int] = {}
    total = 0
    for name, parameter in model.named_parameters():
        part = part_of(name)
        for key in dict.fromkeys((part.split(".")[0], part)):
            table[key] = table.get(key, 0) + parameter.numel()
        total += parameter.numel()
    return table | {"sum": total}
