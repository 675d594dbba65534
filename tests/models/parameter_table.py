"""Numbers of parameters as the papers count them."""

from fnmatch import fnmatchcase

from torch import nn

# First match wins; a component "a.b" also counts towards "a".
PARTS = {
    "encoder.*": "encoder",
    "decoder.layers.*": "decoder.layers",
    "decoder.projection.*": "decoder.projection",
    "decoder.level": "decoder.level",
    "decoder.position.*": "decoder.position",
    "queries.*": "decoder.queries",
    "layer_attention.*": "decoder.layer_attention",
    "pixel_decoder.*": "pixel_decoder",
    "outputs.identity.*": "rest.identity",
    "outputs.map.*": "rest.map",
    "outputs.value.*": "rest.value",
}


def part_of(name: str) -> str:
    """The part of a parameter; one that the table does not know goes by its module's name, a head of several by its
    own."""
    module, *inner = name.split(".")
    known = next((part for pattern, part in PARTS.items() if fnmatchcase(name, pattern)), None)
    return known or (f"{module}.{inner[0]}" if module == "heads" and inner else module)


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
