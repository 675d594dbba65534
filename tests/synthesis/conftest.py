import pytest

from faceptor.synthesis import synthesize
from faceptor.synthesis.layouts import base
from tests.synthesis.fake import COUNTS, RECOGNITION, SEED, fake_render


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of a data set by name, written once with the stand-in for the drawing."""
    patch = pytest.MonkeyPatch()
    patch.setattr(base, "render", fake_render)
    root, done = tmp_path_factory.mktemp("made"), {}

    def make(name):
        if name not in done:
            extra, test = (RECOGNITION, 0) if name == "ms1mv3" else ({}, COUNTS["test"])
            done[name] = synthesize(name, root / name, seed=SEED, train=COUNTS["train"], test=test, workers=1, **extra)
        return root / name

    yield make
    patch.undo()
