"""What readers of recognition sets share: verification sets (`.bin`) beside the training pictures."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from faceptor.datasets.labels import VERIFICATION
from faceptor.datasets.reader import Reader
from faceptor.errors import ConfigError


class WithPairs(Reader):
    """`verification` lists the `.bin` sets to prepare, which must then be there; without it, those that are there."""

    def __init__(self, root: Path | str, *, verification: Sequence[str] | None = None, **options):
        super().__init__(root, **options)
        for name in verification or ():
            if name not in VERIFICATION:
                raise ConfigError(
                    f"datasets.{self.name}.verification: expected {', '.join(VERIFICATION)}, found {name!r}"
                )
        self.options["verification"] = verification if verification is None else list(verification)

    @property
    @abstractmethod
    def pairs_folder(self) -> Path:
        """Where the `.bin` files lie."""

    def verification(self) -> dict[str, Path]:
        folder, wanted = self.pairs_folder, self.options["verification"]
        found = {}
        for name in VERIFICATION if wanted is None else wanted:
            path = folder / f"{name}.bin"
            if self.find(str(path.relative_to(self.root))):
                found[name] = path
            elif wanted is not None:
                raise self.wrong(path, expected=f"verification set {name}", found="no such file")
        return found
