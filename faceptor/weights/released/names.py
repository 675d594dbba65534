"""Tensor names of published files and of our models, translated both ways by tables of templates.

A template is a dotted name with placeholders: {p} a parameter ("weight", "running_mean", ...), {i} and {j} numbers,
{task} and {kind} names that are translated too, {own} the tasks that share a Layer-Attention state, {part} "query",
"key" and "value" in turn (published files hold the three below one another).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor, nn

from faceptor.errors import WeightsError
from faceptor.io.words import few
from faceptor.weights.loading import Facts, facts_of, misfits

QUERY_KEY_VALUE = ("query", "key", "value")
PLACEHOLDERS = {"p": r"\w+", "i": r"\d+", "j": r"\d+", "task": r"[^.]+", "kind": r"[^.]+", "own": r"[^.]+"}
PLACEHOLDERS |= {"part": "|".join(QUERY_KEY_VALUE)}
NO_WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType({})


class Renaming:
    """table: published template -> ours. words: placeholder -> published word -> our word."""

    def __init__(self, table: Mapping[str, str], *, words: Mapping[str, Mapping[str, str]] = NO_WORDS):
        self.words = words
        self.table = {theirs: (_pattern(theirs), _pattern(ours), ours) for theirs, ours in table.items()}

    def ours(self, name: str, *, own: str = "") -> list[str] | None:
        """Our names of a published tensor, three if it is to be cut in three; None without a counterpart."""
        for theirs, _, ours in self.table.values():
            if match := theirs.fullmatch(name):
                fields = match.groupdict()
                for key, words in self.words.items():
                    if key in fields and fields[key] not in words:
                        return None
                fields |= {key: words[fields[key]] for key, words in self.words.items() if key in fields}
                parts = QUERY_KEY_VALUE if "{part}" in ours else ("",)
                return [ours.format(own=own, part=part, **fields) for part in parts]
        return None

    def theirs(self, name: str) -> str:
        """What a published file calls a tensor of ours; our name where it has none."""
        for template, (_, ours, _) in self.table.items():
            if match := ours.fullmatch(name):
                fields = match.groupdict()
                back = {key: {word: theirs for theirs, word in words.items()} for key, words in self.words.items()}
                fields |= {key: words.get(fields[key], fields[key]) for key, words in back.items() if key in fields}
                return template.format(**fields)
        return name

    def convert(
        self, state: Mapping[str, Tensor], *, own: str = "", origin: str, prefix: str = ""
    ) -> dict[str, Tensor]:
        """Published tensors -> ours. Raises WeightsError naming the tensors without a counterpart, under `prefix`."""
        named = {name: self.ours(name, own=own) for name in state}
        strangers = [prefix + name for name, ours in named.items() if ours is None]
        if strangers:
            raise strange(strangers, origin=origin)
        converted = {}
        for name, ours in named.items():
            value = state[name]
            if len(ours) > 1 and (not value.ndim or value.shape[0] % len(ours)):
                rows = f"rows of {', '.join(QUERY_KEY_VALUE)}, a multiple of {len(ours)}"
                found = f"found {tuple(value.shape)}; is the file complete?"
                raise WeightsError(f"{origin}: {prefix}{name}: expected {rows}, {found}")
            converted |= zip(ours, value.chunk(len(ours)) if len(ours) > 1 else [value], strict=True)
        return converted


def check_fit(model: nn.Module, tensors: Mapping[str, Tensor], *, theirs: Callable[[str], str], origin: str) -> None:
    """Raise WeightsError unless these are exactly the model's tensors, named as in the published file (`theirs`)."""
    check_alike(model.state_dict(), tensors, theirs=theirs, origin=origin)


def check_alike(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], *, theirs: Callable[[str], str] = str, origin: str
) -> None:
    """Raise WeightsError unless both have the same names, shapes and types of number.

    theirs: our name -> the file's, by which complaints go; several of ours may be stacked in one tensor there.
    """
    stacked = Counter(theirs(name) for name in own)

    def in_file(tensors: Mapping[str, Tensor]) -> dict[str, Facts]:
        facts = {theirs(name): (fact, stacked[theirs(name)]) for name, fact in facts_of(tensors).items()}
        return {
            name: Facts((*(count * parts for count in shape[:1]), *shape[1:]), type)
            for name, ((shape, type), parts) in facts.items()
        }

    if differ := misfits(in_file(own), in_file(tensors)):
        raise WeightsError(f"{origin}: not the tensors of the published model; {differ}; download the file again")


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors under a prefix, named without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def strange(names: list[str], *, origin: str) -> WeightsError:
    return WeightsError(
        f"{origin}: {len(names)} tensors without a counterpart here: {few(names)}; is it a release of another model?"
    )


def _pattern(template: str) -> re.Pattern:
    pieces, seen = [], set()
    for piece in re.split(r"(\{\w+\})", template):
        key = piece.strip("{}")
        if piece != f"{{{key}}}":
            pieces.append(re.escape(piece))
        else:
            pieces.append(f"(?P={key})" if key in seen else f"(?P<{key}>{PLACEHOLDERS[key]})")
            seen.add(key)
    return re.compile("".join(pieces))
