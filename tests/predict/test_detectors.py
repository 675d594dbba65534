"""Where faces are: CenterFace on photographs and on a heat map made by hand, other detectors' layouts, files that are
not what they should be."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage import data

from faceptor.errors import ConfigError, WeightsError
from faceptor.predict.detector import detect_faces, detector_of, overlap
from faceptor.predict.detectors import anchors, base, centerface, heads, network, yunet
from faceptor.predict.detectors.centerface import CenterFace

ASTRONAUT = np.array([180.0, 87.0, 272.0, 178.0])  # by eye: brows at 87, chin at 178, ears at 180 and 272
MIDDLE = (226.0, 132.5)
HAND = np.array([[60, 200], [50, 120], [62, 60], [78, 62], [84, 110], [92, 40], [108, 40], [112, 108], [124, 48],
                 [140, 52], [138, 116], [156, 76], [170, 84], [158, 150], [140, 205]])  # fmt: skip


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return data.astronaut()


def shared(one, other) -> float:
    return float(overlap(np.asarray(one, float), np.asarray(other, float)[None])[0])


def scaled(image: np.ndarray, scale: float) -> np.ndarray:
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)


# --- photographs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.1, 0.25, 1, 2.5])
def test_a_face_is_found_at_any_size(photo, scale):
    (face,) = detect_faces(scaled(photo, scale))
    assert shared(face.box / scale, ASTRONAUT) > (0.75 if scale >= 0.25 else 0.65)
    assert face.score > 0.8
    assert face.roll == pytest.approx(4, abs=4)  # her eyes' line
    left, right, nose, *mouth = face.points / scale
    assert left[0] < nose[0] < right[0]
    assert left[1] < nose[1] < min(corner[1] for corner in mouth)


@pytest.mark.parametrize("roll", [-60, -20, 20, 45, 120, 180])
def test_a_turned_face_has_its_roll_and_the_same_box(photo, roll):
    matrix = cv2.getRotationMatrix2D(MIDDLE, -roll, 1)  # its angles run against ours
    turned = cv2.warpAffine(photo, matrix, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    (face,) = detect_faces(turned)
    assert (face.roll - roll - 4 + 180) % 360 - 180 == pytest.approx(0, abs=8)
    assert shared(face.box, ASTRONAUT) > 0.75


def test_a_grey_picture_is_searched_too(photo):
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    (face,) = detect_faces(grey)
    assert shared(face.box, ASTRONAUT) > 0.75
    (same,) = detect_faces(grey[..., None])
    assert np.array_equal(face.box, same.box)


def test_small_faces_are_found_beside_large_ones_and_large_ones_come_first(photo):
    canvas = np.full((1100, 1800, 3), 128, np.uint8)
    canvas[40:552, 20:532] = photo
    tiny = scaled(photo, 0.25)  # a face of 23 pixels, of 8 in the first search
    canvas[900 : 900 + tiny.shape[0], 1500 : 1500 + tiny.shape[1]] = tiny
    large, small = detect_faces(canvas)
    assert shared(large.box, ASTRONAUT + np.tile([20, 40], 2)) > 0.75
    assert shared(small.box, ASTRONAUT * 0.25 + np.tile([1500, 900], 2)) > 0.5
    once = CenterFace(sides=(640, 640)).detect(canvas)
    assert len(once) == 1


@pytest.mark.parametrize("name", ["coffee", "chelsea", "coins", "text", "rocket", "gravel"])
def test_no_face_where_there_is_none(name):
    assert detect_faces(getattr(data, name)()) == []


def test_a_hand_and_a_jar_are_no_faces():
    picture = np.full((240, 420, 3), (150, 140, 120), np.uint8)
    cv2.fillPoly(picture, [HAND], (224, 172, 145))
    cv2.ellipse(picture, (320, 130), (60, 80), 0, 0, 360, (170, 110, 70), -1)
    cv2.rectangle(picture, (285, 35), (355, 60), (90, 60, 40), -1)
    assert detect_faces(cv2.GaussianBlur(picture, (0, 0), 1.5)) == []


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (3, 4000), (30000, 1)])
def test_dots_and_strips_have_no_face(size):
    assert detect_faces(np.zeros((*size, 3), np.uint8)) == []


def test_a_lower_score_finds_no_less(photo):
    assert len(detect_faces(photo, min_score=0.2)) >= len(detect_faces(photo))
    assert detect_faces(photo, min_score=0.99) == []


def test_a_detection_repeats_to_the_bit(photo):
    one, other = detect_faces(photo)[0], CenterFace().detect(photo)[0]
    assert np.array_equal(one.box, other.box)
    assert (one.score, one.roll) == (other.score, other.roll)


@pytest.mark.parametrize("per_size", [False, True])
def test_pictures_of_changing_size_do_not_disturb_one_another(photo, monkeypatch, per_size):
    monkeypatch.setattr(network, "NETWORK_PER_SIZE", per_size or network.NETWORK_PER_SIZE)
    detector, narrow = CenterFace(smallest=128, second_look=False), photo[:256, 100:356]
    (first,) = detector.detect(photo)
    for side in range(128, 480, 32):
        assert len(detector.detect(cv2.resize(narrow, (side, side)))) == 1
    assert np.array_equal(detector.detect(photo)[0].box, first.box)


def test_threads_that_share_a_detector_see_what_one_sees(photo):
    pictures = [photo, photo[:300, 80:380], scaled(photo, 0.3), photo[:, ::-1]]
    alone = [detect_faces(np.ascontiguousarray(picture))[0] for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        beside = [found[0] for found in pool.map(detect_faces, map(np.ascontiguousarray, pictures))]
    assert all(np.array_equal(one.box, other.box) for one, other in zip(alone, beside, strict=True))


# --- what the networks say -------------------------------------------------------------------------------------------


def heat_map(row: int, column: int) -> dict[str, np.ndarray]:
    counts = {centerface.HEAT: 1, centerface.SIZES: 2, centerface.OFFSETS: 2, centerface.POINTS: 10}
    answers = {name: np.zeros((1, count, 10, 12), np.float32) for name, count in counts.items()}
    answers[centerface.HEAT][0, 0, row, column] = 0.75
    answers[centerface.SIZES][0, :, row, column] = np.log([8, 6])  # height, width in cells
    answers[centerface.OFFSETS][0, :, row, column] = [0.25, -0.25]  # y, x
    answers[centerface.POINTS][0, :, row, column] = [0.4, 0.25, 0.4, 0.75, 0.5, 0.5, 0.75, 0.375, 0.75, 0.625]
    return answers


def test_a_heat_map_is_decoded():
    seen = centerface.decoded(heat_map(5, 7), 0.5)
    # The centre is at 4 * (7 + 0.5 - 0.25) = 29 and 4 * (5 + 0.5 + 0.25) = 23 from the edges, the size 24 x 32.
    np.testing.assert_allclose(seen.boxes, [[17 - 0.5, 7 - 0.5, 41 - 0.5, 39 - 0.5]], atol=1e-5)
    eyes_nose_mouth = [[23, 19.8], [35, 19.8], [29, 23], [26, 31], [32, 31]]
    np.testing.assert_allclose(seen.points[0], np.array(eyes_nose_mouth) - 0.5, atol=1e-5)
    assert seen.scores.tolist() == [0.75]
    assert len(centerface.decoded(heat_map(5, 7), 0.8)) == 0


def test_scrfd_is_decoded():
    """One face on the second anchor of the cell in row 3, column 5 of stride 16, arrays in a shuffled order."""
    answers = {}
    for stride in reversed(anchors.STRIDES):
        count = 2 * (anchors.SIDE // stride) ** 2
        answers |= {f"k{stride}": np.zeros((1, count, 10)), f"s{stride}": np.zeros((1, count, 1)),
                    f"b{stride}": np.zeros((count, 4))}  # fmt: skip
    row = 2 * (3 * 40 + 5) + 1
    answers["s16"][0, row] = 0.9
    answers["b16"][row] = [1, 2, 3, 4]
    answers["k16"][0, row] = [-0.5, -0.5, 0.5, -0.5, 0, 0, -0.25, 1, 0.25, 1]
    seen = anchors.Scrfd.decoded(answers)
    seen = seen.rows(seen.scores > 0.5)
    np.testing.assert_allclose(seen.boxes, [[80 - 16, 48 - 32, 80 + 48, 48 + 64]])
    np.testing.assert_allclose(seen.points[0], [[72, 40], [88, 40], [80, 48], [76, 64], [84, 64]])


@pytest.mark.parametrize("logits", [False, True])
def test_retinaface_is_decoded(logits):
    """One face on the larger anchor (64 pixels' stride 8 neighbours are 16 and 32) of row 2, column 4 of stride 8."""
    count = sum(2 * (anchors.SIDE // stride) ** 2 for stride in anchors.STRIDES)
    answers = {"a": np.zeros((1, count, 10)), "b": np.zeros((1, count, 2)), "c": np.zeros((1, count, 4))}
    answers["b"][..., 0] = 20 if logits else 1
    row = 2 * (2 * 80 + 4) + 1  # side 32, middle at 36, 20 from the edges
    answers["b"][0, row] = [-2, 2] if logits else [0.1, 0.9]
    answers["c"][0, row] = [1, -1, np.log(2) / 0.2, 0]  # centre 3.2 to the right and up; twice as wide
    answers["a"][0, row] = [-2, -1, 2, -1, 0, 0, -1, 2, 1, 2]
    seen = anchors.RetinaFace.decoded(answers)
    seen = seen.rows(seen.scores > 0.5)
    np.testing.assert_allclose(seen.boxes, [[39.2 - 32.5, 16.8 - 16.5, 39.2 + 31.5, 16.8 + 15.5]])
    np.testing.assert_allclose(seen.points[0][[0, 4]] + 0.5, [[36 - 6.4, 20 - 3.2], [36 + 3.2, 20 + 6.4]])


def test_yunet_rows_are_boxes_and_points():
    row = [10, 20, 30, 40, *range(10), 0.9]
    seen = yunet.sight_of_rows(np.array([row], np.float32))
    np.testing.assert_allclose(seen.boxes, [[9.5, 19.5, 39.5, 59.5]])
    np.testing.assert_allclose(seen.points[0] + 0.5, np.arange(10).reshape(5, 2))


def test_a_leaning_head_has_the_box_of_an_upright_one():
    """Turned by 90 degrees about the middle of its box, the face box turns with it."""
    points = np.array([[40, 45], [60, 45], [50, 55], [43, 68], [57, 68.0]])
    box = np.array([30, 20, 70, 80.0])
    upright = heads.detection_of(box, points, 0.9)
    middle = np.array([50, 50])
    turned = (points - middle) @ np.array([[0, 1], [-1, 0.0]]) + middle  # x towards y
    lying = heads.detection_of(box, turned, 0.9)
    assert (upright.roll, lying.roll) == (0, 90)
    down = (upright.box[:2] + upright.box[2:]) / 2 - middle
    np.testing.assert_allclose((lying.box[:2] + lying.box[2:]) / 2 - middle, [-down[1], down[0]], atol=1e-9)


def test_of_two_boxes_of_one_face_the_surer_is_kept():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10.0]])
    seen = base.Sight(boxes, np.array([0.6, 0.9, 0.7]), np.zeros((3, 5, 2)))
    assert base.distinct(seen, min_score=0.5).scores.tolist() == [0.9, 0.7]


# --- names and files -----------------------------------------------------------------------------------------------


def test_detectors_are_known_by_name(tmp_path):
    assert detector_of() is detector_of(None)
    assert detector_of("centerface").name == "centerface"
    assert detector_of(f"yunet:{tmp_path}/x.onnx").name == "yunet"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mtcnn", "unknown; expected one of centerface, yunet:FILE.onnx, scrfd:FILE.onnx, retinaface:FILE.onnx"),
        ("cascade", "unknown"),
        ("yunet", "name its file: yunet:FILE.onnx"),
        ("centerface:x.onnx", "takes no file"),
    ],
)
def test_another_name_is_an_error_that_lists_the_known_ones(name, said):
    with pytest.raises(ConfigError, match=said):
        detector_of(name)


def corrupted(tmp_path):
    path = tmp_path / "centerface.onnx"
    shutil.copy(centerface.FILE, path)
    with path.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"\0" * 64)
    return path


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: folder / "nothing.onnx", "not found; install the package again"),
        (corrupted, "expected SHA-256 09189deaaf86"),
        (lambda folder: folder, "expected a file, found a folder"),
    ],
)
def test_a_missing_or_damaged_file_is_one_line(tmp_path, photo, damage, said):
    with pytest.raises(WeightsError, match=said) as error:
        replace(CenterFace(), path=damage(tmp_path)).detect(photo)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["yunet", "scrfd", "retinaface"])
def test_a_foreign_file_is_refused_with_a_remedy(tmp_path, photo, kind):
    noise = tmp_path / "noise.onnx"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    for path in (centerface.FILE, noise, tmp_path / "nothing.onnx"):
        with pytest.raises(WeightsError, match=r"(give an? |export |give face_)") as error:
            detector_of(f"{kind}:{path}").detect(photo)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
