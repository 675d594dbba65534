"""Files of the rendered sets, taken apart by their owners' descriptions."""

import re

import cv2
import numpy as np

from faceptor.datasets.labels import FACESYNTHETICS_19
from tests.synthesis.fake import planned, portrait, size


def test_facesynthetics_has_three_files_a_number(made):
    root = made("facesynthetics")
    shots = planned("facesynthetics")
    names = {f"{shot.key}{part}" for shot in shots for part in (".png", "_seg.png", "_ldmks.txt")}
    assert {path.name for path in root.iterdir()} == {"GENERATED", *names}
    assert all(re.fullmatch(r"\d{6}", shot.key) for shot in shots)
    for shot in shots[::9]:
        drawn = portrait(shot)
        points = np.loadtxt(root / f"{shot.key}_ldmks.txt")
        expected = [drawn.landmarks["68"], drawn.landmarks["98"][96:]]  # the pupils last
        np.testing.assert_allclose(points, np.concatenate(expected), atol=1e-5)
        mask = cv2.imread(str(root / f"{shot.key}_seg.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == size(root / f"{shot.key}.png") == (200, 200)
        assert [FACESYNTHETICS_19[value] for value in np.unique(mask)] == ["background", "skin"]


def test_digiface_has_a_folder_for_each_person(made):
    root = made("digiface")
    shots = planned("digiface")
    for shot in shots:
        archive, person, picture = shot.key.split("/")
        first, last = map(int, re.fullmatch(r"subjects_(\d+)-(\d+)_72_imgs", archive).groups())
        assert first <= int(person) <= last and re.fullmatch(r"\d\.png", picture)
        assert size(root / shot.key) == (112, 112)
    people = {(shot.split, shot.key.split("/")[1]): shot.person for shot in shots}
    assert len(set(people.values())) == len(people) == 7 + 3  # 33 and 14 pictures, five of each person
