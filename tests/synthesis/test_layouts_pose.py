"""Generated head-pose, occlusion and video sets: published files, and drawings that turn as they are labelled."""

import h5py
import numpy as np
import pytest
import scipy.io

from faceptor.datasets.labels import facts, landmark_scheme
from faceptor.datasets.readers.poses import euler
from faceptor.errors import ConfigError
from faceptor.synthesis import LAYOUTS
from faceptor.synthesis.canvas import HAIR
from faceptor.synthesis.draw import render
from faceptor.synthesis.face import sample_face
from faceptor.synthesis.head import rotation
from faceptor.synthesis.visibility import bare, unobstructed
from faceptor.synthesis.writers.biwi import camera_matrix
from faceptor.synthesis.writers.head_poses import facing, swaying, turned
from faceptor.synthesis.writers.layout import Order, axes, stream
from faceptor.synthesis.writers.w300lp import pose_parameters
from faceptor.synthesis.writers.wflw import flags
from faceptor.tasks.rotations import degrees_of_matrix, matrix_of_degrees
from tests.synthesis.fake import planned, portrait, size

CALM = {"expression": 0, "mouth_open": 0.0, "eyes_closed": False, "occluder": "", "sunglasses": False, "hat": ""}
CALM |= {"hair_length": "short", "bangs": False}
POSES = [(0, 0, 0), (30, 0, 0), (-50, 10, -8), (0, 25, 0), (0, -20, 15), (75, -12, 5)]  # yaw, pitch, roll


def head(yaw, pitch, roll, size=(96, 96)):
    fields = {"yaw": float(yaw), "pitch": float(pitch), "roll": float(roll)}
    return render(sample_face(3, identity=1, **CALM | fields), size=size, frame="wild")


# --- head pose --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pose", POSES)
def test_the_drawn_points_turn_by_the_labelled_rotation(pose):
    """A rigid fit of the drawn head in 3D to the same head seen straight gives back the Euler angles of 300W-LP."""
    straight, turned_head = head(0, 0, 0), head(*pose)

    def plumb(portrait):
        """Points in head units about the middle of the head, perspective undone; y up, z to the viewer."""
        xy = (portrait.solid[:, :2] - portrait.centre) / portrait.unit
        depth = portrait.solid[:, 2:] / portrait.unit
        return np.concatenate([xy * (10 - depth) / 10, depth], axis=1) * [1, -1, 1]

    u, _, vt = np.linalg.svd(plumb(turned_head).T.astype(float) @ plumb(straight).astype(float))
    model = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt  # head axes to picture axes
    yaw, pitch, roll = pose
    np.testing.assert_allclose(degrees_of_matrix(model.T), (pitch, yaw, roll), atol=0.01)
    np.testing.assert_allclose(model.T, matrix_of_degrees(np.array([pitch, yaw, roll])), atol=1e-4)
    np.testing.assert_allclose(np.rad2deg(pose_parameters(turned_head)[0, :3]), (pitch, yaw, roll), atol=1e-6)
    np.testing.assert_allclose(euler(camera_matrix(turned_head)), (pitch, yaw, roll), atol=1e-4)


def test_positive_angles_turn_to_image_left_up_and_clockwise():
    straight = head(0, 0, 0)
    eyes = slice(36, 48)
    offset = {name: head(*pose).landmarks["68"] for name, pose in
              {"yaw": (30, 0, 0), "pitch": (0, 25, 0), "roll": (0, 0, 20)}.items()}  # fmt: skip
    at = straight.landmarks["68"]

    def nose(points):
        return points[30] - points[eyes].mean(axis=0)

    assert nose(offset["yaw"])[0] < nose(at)[0] - 3
    assert nose(offset["pitch"])[1] < nose(at)[1] - 2
    assert offset["roll"][45, 1] - offset["roll"][36, 1] > 3 > abs(at[45, 1] - at[36, 1])
    middle, right, down, ahead = axes(head(30, 0, 0))
    assert right[0] > middle[0] and down[1] > middle[1] and ahead[0] < middle[0]


def test_solid_points_are_the_landmarks_where_the_head_shows_them():
    portrait = head(45, 0, 0)
    apart = np.linalg.norm(portrait.solid[:, :2] - portrait.landmarks["68"], axis=1)
    assert apart[17:].max() < 1e-3  # only the contour slides
    assert apart[:6].max() > 2 and apart[9:17].max() < 1e-3  # and only on the side that is turned away


def test_poses_of_people_before_a_camera_and_of_large_pose_sets():
    near = [facing(stream(1, i), yaw=12, pitch=6, roll=5) for i in range(400)]
    yaw = np.array([pose["yaw"] for pose in near])
    assert 9 < np.abs(yaw).mean() < 10.5 and np.abs(yaw).max() <= 30 and abs(yaw.mean()) < 2
    far = np.abs([turned(stream(2, i))["yaw"] for i in range(400)])
    assert 0.58 < (far < 30).mean() < 0.72 and 0.07 < (far > 60).mean() < 0.18 and far.max() <= 85
    frames = swaying(stream(3), 40, yaw=70, pitch=38, roll=28)
    angles = np.array([[frame[name] for name in ("yaw", "pitch", "roll")] for frame in frames])
    assert np.abs(np.diff(angles, axis=0)).max() < 20 and (np.abs(angles) <= (70, 38, 28)).all()


# --- visibility -------------------------------------------------------------------------------------------------------


def test_the_nose_hides_the_far_eye_and_hair_the_brows():
    shown = np.full((2, 9, 9), -1.0)
    shown[:, 4:, :] = 20.0  # cell (20, 20) fills the lower half
    at = np.array([[2.0, 6], [2, 6], [2, 1], [-5, 3]])
    cells = np.array([[20.5, 19], [24, 20], [3, 3], [3, 3]])
    assert unobstructed(at, cells, shown).tolist() == [True, False, True, True]  # outside of the head nothing hides

    classes = np.zeros((20, 20), np.uint8)
    classes[:, :10] = HAIR
    points = np.array([[4.0, 10], [14, 10], [9, 10]])
    outline = np.array([False, False, True])  # judged by what lies towards the middle
    assert bare(points, classes, outline=outline, middle=np.array([19.0, 10]), unit=20).tolist() == [False, True, True]


def test_the_nose_of_a_drawn_face_hides_the_far_eye():
    assert head(0, 0, 0, size=(160, 160)).visible["29"].all()
    far = head(62, 0, 0, size=(160, 160)).visible["98"]
    assert not far[64] and far[72]  # the inner corner of the far eye behind the nose


# --- files ------------------------------------------------------------------------------------------------------------


def test_300wlp_files_and_mirror_images(made):
    root, scheme = made("300wlp") / "300W_LP", landmark_scheme("300W")
    shots = planned("300wlp")  # 33 pictures: 17 drawn, 16 of them mirrored
    assert len(shots) == 17 and sum(shot.note["mirrored"] for shot in shots) == 16
    assert len(list(root.glob("*/*.jpg"))) == len(list(root.glob("*/*_?.mat"))) == 33
    for shot in shots:
        drawn = portrait(shot)
        label = scipy.io.loadmat(root / f"{shot.key}.mat")
        assert label["Pose_Para"].shape == (1, 7) and label["pt2d"].shape == (2, 68) and label["roi"].shape == (1, 4)
        yaw, pitch, roll = drawn.pose
        np.testing.assert_allclose(np.rad2deg(label["Pose_Para"][0, :3]), (pitch, yaw, roll), atol=1e-9)
        np.testing.assert_allclose(label["pt2d"].T, drawn.landmarks["68"], atol=1e-5)
        part, stem = shot.key.split("/")
        points = scipy.io.loadmat(root / f"landmarks/{part}/{stem}_pts.mat")
        assert points["pts_2d"].shape == points["pts_3d"].shape == (68, 2)
        if shot.note["mirrored"]:
            flipped = scipy.io.loadmat(root / f"{part}_Flip/{stem}.mat")
            np.testing.assert_allclose(np.rad2deg(flipped["Pose_Para"][0, :3]), (pitch, -yaw, -roll), atol=1e-9)
            expected = scheme.mirrored(drawn.landmarks["68"], drawn.image.shape[1])
            np.testing.assert_allclose(flipped["pt2d"].T, expected, atol=1e-4)


def test_aflw2000_files(made):
    root = made("aflw2000") / "AFLW2000"
    for shot in planned("aflw2000"):
        drawn, label = portrait(shot), scipy.io.loadmat(root / f"{shot.key}.mat")
        assert label["pt3d_68"].shape == (3, 68) and label["pt2d"].shape == (2, 21)
        np.testing.assert_allclose(label["pt3d_68"].T, drawn.solid, atol=1e-4)
        hidden = (label["pt2d"] == -1).all(axis=0)
        np.testing.assert_array_equal(hidden[:12], ~drawn.visible["19"][:12])
        np.testing.assert_allclose(label["pt2d"].T[20], drawn.landmarks["19"][18] if not hidden[20] else -1, atol=1e-4)


def test_biwi_files(made):
    root = made("biwi") / "hpdb"
    for shot in planned("biwi"):
        drawn = portrait(shot)
        rows = (root / f"{shot.key}_pose.txt").read_text().split("\n")
        assert rows[3] == "" and len(rows) == 6
        turn = np.array([row.split() for row in rows[:3]], float)
        flip = np.diag([1.0, 1.0, -1.0])
        np.testing.assert_allclose(flip @ turn @ flip, rotation(*drawn.pose), atol=1e-5)
        camera = (root / shot.key[:2] / "rgb.cal").read_text().splitlines()
        intrinsic = np.array([row.split() for row in camera[:3]], float)
        x, y, z = np.array(rows[4].split(), float)
        np.testing.assert_allclose((intrinsic @ (x / z, y / z, 1))[:2], drawn.centre, atol=1e-2)
        assert intrinsic[0, 0] * 70 / z == pytest.approx(drawn.unit, rel=1e-4)
        assert size(root / f"{shot.key}_rgb.png") == (180, 240)


def test_cofw_matrices(made):
    root = made("cofw")
    for split, end, count in (("train", "Tr", 33), ("test", "T", 14)):
        shots = [shot for shot in planned("cofw") if shot.split == split]
        with h5py.File(root / f"COFW_{split}_color.mat") as file:
            assert file[f"Is{end}"].shape == (1, count) and file[f"Is{end}"].dtype == h5py.ref_dtype
            assert file[f"phis{end}"].shape == (87, count) and file[f"bboxes{end}"].shape == (4, count)
            for n, shot in enumerate(shots):
                drawn, phi = portrait(shot), file[f"phis{end}"][:, n]
                np.testing.assert_allclose(phi[:58].reshape(2, 29).T - 1, drawn.landmarks["29"], atol=1e-4)
                np.testing.assert_array_equal(phi[58:] == 0, drawn.visible["29"])
                image = file[file[f"Is{end}"][0, n]][()].T
                expected = drawn.image[..., 0] if drawn.face.grayscale else drawn.image
                np.testing.assert_array_equal(image, expected)
        header = (root / f"COFW_{split}_color.mat").read_bytes()[:520]
        assert header.startswith(b"MATLAB 7.3") and header[512:] == b"\x89HDF\r\n\x1a\n"


def test_wflw_lists(made):
    root = made("wflw")
    listed = {}
    for split, count in (("train", 33), ("test", 14)):
        path = root / f"WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{split}.txt"
        rows = [row.split(" ") for row in path.read_text().splitlines()]
        assert len(rows) == count and {len(row) for row in rows} == {207}
        for row, shot in zip(rows, [s for s in planned("wflw") if s.split == split], strict=True):
            drawn = portrait(shot)
            np.testing.assert_allclose(np.array(row[:196], float).reshape(98, 2), drawn.landmarks["98"], atol=1e-5)
            assert list(map(int, row[200:206])) == list(flags(drawn).values()) and row[206] == shot.key
            assert (root / "WFLW_images" / row[206]).exists()
        listed[split] = rows
    for column, subset in enumerate(facts()["landmarks"]["WFLW"]["test_subsets"]):
        path = root / f"WFLW_annotations/list_98pt_test/list_98pt_test_{subset}.txt"
        members = [row.split(" ") for row in path.read_text().splitlines()]
        assert members == [[*row[:196], row[206]] for row in listed["test"] if row[200 + column] == "1"]


def test_wflw_flags_follow_from_the_drawing():
    calm = {**CALM, "blur": 0.0, "light_strength": 0.3, "exposure": 1.0, "heavy_makeup": False}
    calm |= {"pitch": 0.0, "roll": 0.0}

    def shown(**fields):
        face = sample_face(3, identity=2, **{**calm, "yaw": 0.0, **fields})
        return {name for name, flag in flags(render(face, size=(96, 96))).items() if flag}

    assert shown() == set()
    assert shown(yaw=50.0) == {"largepose"} and shown(blur=0.02) == {"blur"}
    assert shown(expression=3, intensity=1.0) == {"expression"} and shown(heavy_makeup=True) == {"makeup"}
    assert shown(sunglasses=True) == {"occlusion"} == shown(occluder="bar")
    assert shown(light_strength=0.95) == {"illumination"} == shown(exposure=1.3)


def test_300vw_frames_and_categories(made):
    root = made("300vw") / "300VW_Dataset_2015_12_14"
    videos = facts()["video_300VW_test"]
    for shot in planned("300vw"):
        video, frame = shot.key.split("/")
        assert video in videos[shot.note["category"]]
        text = (root / video / "annot" / f"{frame}.pts").read_text().splitlines()
        points = np.array([line.split() for line in text[3:-1]], float)
        np.testing.assert_allclose(points - 1, portrait(shot).landmarks["68"], atol=1e-6)
        assert size(root / video / "imgs" / f"{frame}.jpg") == (224, 224)
    people = {}
    for shot in LAYOUTS["300vw"].plan(Order(name="300vw", seed=1, train=0, test=300)):
        people.setdefault(shot.key.split("/")[0], set()).add((shot.person, shot.sample))
    assert all(len(who) == 1 for who in people.values()) and len(set.union(*people.values())) == len(people) > 30


@pytest.mark.parametrize(("name", "missing"), [("300wlp", "test"), ("biwi", "train"), ("aflw2000", "train")])
def test_a_part_that_is_not_published_cannot_be_asked_for(name, missing):
    with pytest.raises(ConfigError, match=rf"synthesis\._?{name}\.{missing}: this data set has no {missing} part"):
        LAYOUTS[name].check(Order(name=name, seed=1, train=2, test=2))
