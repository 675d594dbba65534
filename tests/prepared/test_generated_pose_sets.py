"""Head pose, visibility and subsets of generated sets: what is drawn, written, read and prepared is one thing."""

import numpy as np
import pytest

from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from faceptor.synthesis import LAYOUTS, synthesize
from faceptor.synthesis.draw import render
from faceptor.synthesis.face import sample_face
from faceptor.synthesis.writers.layout import Order
from faceptor.synthesis.writers.wflw import flags


@pytest.mark.parametrize(("name", "train", "test"), [("300wlp", 6, 0), ("biwi", 0, 4), ("aflw2000", 0, 4)])
def test_poses_come_back_as_drawn(tmp_path, name, train, test):
    synthesize(name, tmp_path / name, seed=2, train=train, test=test, workers=1, image_size=96)
    prepare(name, tmp_path / name, tmp_path / "out", validation=0.0, seed=1, max_rejects=0.0)
    split = open_split(tmp_path / "out", "train" if train else "test")
    shots = LAYOUTS[name].plan(Order(name=name, seed=2, train=train, test=test, image_size=96))
    drawn = [[shot.fixed[angle] for angle in ("pitch", "yaw", "roll")] for shot in shots]
    drawn += [[p, -y, -r] for p, y, r in drawn] if name == "300wlp" else []
    found = np.stack(split.column("pose"))
    assert len(found) == len(drawn)
    np.testing.assert_allclose(sorted(map(tuple, found)), sorted(map(tuple, drawn)), atol=1e-3)
    for sample in split:
        height, width = sample["size"]
        x1, y1, x2, y2 = sample["box"]
        assert x2 - x1 == pytest.approx(y2 - y1, rel=1e-4) and x1 < width / 2 < x2 and y1 < height / 2 < y2
        if name != "biwi":  # nose and mouth lie well inside
            inner = sample["landmarks"][27:]
            assert (inner > [x1, y1]).all() and (inner < [x2, y2]).all()


def test_visibility_and_subsets_come_back_as_drawn(tmp_path):
    for name, counts in (("cofw", {"train": 4, "test": 6}), ("wflw", {"train": 2, "test": 8})):
        synthesize(name, tmp_path / name, seed=2, workers=1, image_size=96, **counts)
        prepare(name, tmp_path / name, tmp_path / "out" / name, validation=0.0, seed=1, max_rejects=0.0)
    layout, order = LAYOUTS["cofw"], Order(name="cofw", seed=2, train=4, test=6, image_size=96)
    shots = {shot.key: shot for shot in layout.plan(order)}
    hidden = 0
    for sample in open_split(tmp_path / "out/cofw", "test"):
        shot = shots[sample["key"]]
        drawn = render(sample_face(2, identity=shot.person, **shot.fixed), size=shot.size, frame="wild")
        np.testing.assert_array_equal(sample["visibility"] == 1, drawn.visible["29"])
        np.testing.assert_allclose(sample["landmarks"], drawn.landmarks["29"], atol=1e-4)
        hidden += int((sample["visibility"] == 0).sum())
    assert hidden > 5
    order = Order(name="wflw", seed=2, train=2, test=8, image_size=96)
    shots = {shot.key: shot for shot in LAYOUTS["wflw"].plan(order)}
    for sample in open_split(tmp_path / "out/wflw", "test"):
        shot = shots[sample["group"]]
        drawn = render(sample_face(2, identity=shot.person, **shot.fixed), size=shot.size, frame="wild")
        assert set(sample["subsets"]) == {name for name, flag in flags(drawn).items() if flag}
