"""To which component of a model a parameter belongs, by the components of the paper's section 4.2."""

from fnmatch import fnmatchcase

# First match wins; a component "a.b" also counts towards "a".
COMPONENT_OF = {
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
    """The component of a parameter; a part that the table does not know goes by its module's name, a head of several
    by its own."""
    module, *inner = name.split(".")
    known = next((part for pattern, part in COMPONENT_OF.items() if fnmatchcase(name, pattern)), None)
    return known or (f"{module}.{inner[0]}" if module == "heads" and inner else module)
