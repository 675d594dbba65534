import pytest

from faceptor.synthesis import synthesize
from faceptor.synthesis.writers import layout as layouts
from tests.synthesis.fake import COUNTS, RECOGNITION, SEED, fake_render, published


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of a data set by name, written once with the stand-in for the drawing."""
    patch = pytest.MonkeyPatch()
    patch.setattr(layouts, "render", fake_render)
    root, done = tmp_path_factory.mktemp("made"), {}

    def make(name):
        if name not in done:
            counts = {"train": COUNTS["train"], **RECOGNITION} if name == "ms1mv3" else published(name, COUNTS)
            done[name] = synthesize(name, root / name, seed=SEED, workers=1, **counts)
        return root / name

    yield make
    patch.undo()
