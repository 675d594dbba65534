"""Head-pose, occlusion and video sets: angles, signs, boxes, subsets, and one damaged label at a time."""

import shutil

import cv2
import h5py
import numpy as np
import pytest
import scipy.io

from faceptor.datasets import READERS
from faceptor.datasets.formats.images import decode_image
from faceptor.datasets.reader import landmark_box
from faceptor.datasets.readers.poses import euler, head_box
from faceptor.errors import ConfigError, DataError
from faceptor.tasks.custom import specs_of
from faceptor.tasks.rotations import matrix_of_degrees
from tests.datasets import published as pub
from tests.datasets.published import bad, good, read

# --- 300W-LP and AFLW2000 -----------------------------------------------------------------------------------------


def test_300wlp_angles_groups_and_the_limit(tmp_path):
    pub.w300lp(tmp_path)
    reader = READERS["300wlp"](tmp_path)
    faces = good(reader.read("train"))
    assert set(faces) == {"AFW/AFW_1_1_0", "AFW_Flip/AFW_1_1_0", "LFPW/LFPW_2_0", "LFPW_Flip/LFPW_2_0"}
    assert sum(reader.dropped.values()) == 2 and not list(reader.read("test"))
    np.testing.assert_allclose(faces["AFW/AFW_1_1_0"].pose, (5, 20, -8), atol=1e-5)
    np.testing.assert_allclose(faces["AFW_Flip/AFW_1_1_0"].pose, (5, -20, 8), atol=1e-5)
    assert {face.group for face in faces.values()} == {"AFW/AFW_1_1", "LFPW/LFPW_2"}
    assert len(good(read("300wlp", tmp_path, "train", within_99=False))) == 6


def test_300wlp_points_of_the_other_files(tmp_path):
    pub.w300lp(tmp_path)
    solid = read("300wlp", tmp_path, "train", landmarks="pts_3d")
    np.testing.assert_allclose(good(solid)["AFW/AFW_1_1_0"].landmarks, pub.face68(0.5), atol=1e-5)
    assert all("mirrored" in reject.reason for reject in bad(solid).values()) and len(bad(solid)) == 3


def test_a_head_box_by_hand():
    # 20 wide, 40 high: 24 above, 7.2 below, 3.6 to either side; the longer side is 71.2, about (20, 21.6)
    box = head_box(np.array([[10.0, 10.0], [30.0, 50.0]]))
    np.testing.assert_allclose(box, (20 - 35.6, -14, 20 + 35.6, 57.2), atol=1e-4)


def test_300wlp_damaged_labels_are_rejected_alone(tmp_path):
    pub.w300lp(tmp_path)
    home = tmp_path / "300W_LP"
    (home / "AFW/AFW_1_1_0.mat").write_bytes(b"not a matrix")
    pub.pose_mat(home / "LFPW/LFPW_2_0.mat", (0, np.nan, 0), pt2d=pub.face68().T)
    pub.pose_mat(home / "LFPW_Flip/LFPW_2_0.mat", (0, 1, 0), pt2d=pub.face68().T[:, :67])
    (home / "AFW_Flip/AFW_1_1_0.jpg").unlink()
    items = read("300wlp", tmp_path, "train")
    found = bad(items)
    assert "Matlab" in found["AFW/AFW_1_1_0"].reason and found["AFW/AFW_1_1_0"].where == "300W_LP/AFW/AFW_1_1_0.mat"
    assert "finite" in found["LFPW/LFPW_2_0"].reason and "68 points" in found["LFPW_Flip/LFPW_2_0"].reason
    assert "missing" in found["AFW_Flip/AFW_1_1_0"].reason and len(found) == 4


def test_300wlp_says_which_folders_are_not_whole(tmp_path):
    pub.w300lp(tmp_path)
    shutil.rmtree(tmp_path / "300W_LP/AFW_Flip")
    (check,) = READERS["300wlp"](tmp_path).checks()
    assert check.status == "fail" and "AFW: 2 of 5207, AFW_Flip: 0 of 5207, HELEN: 0 of 37676" in check.detail
    pub.put(tmp_path / "GENERATED", "")
    assert not list(READERS["300wlp"](tmp_path).checks())  # generated faces are counted by their marker


def test_aflw2000_takes_68_points_or_the_visible_of_21(tmp_path):
    pub.aflw2000(tmp_path)
    faces = good(read("aflw2000", tmp_path, "test"))
    assert set(faces) == {"image00002", "image00004"}
    np.testing.assert_allclose(faces["image00002"].pose, (10, 20, 30), atol=1e-4)
    np.testing.assert_allclose(faces["image00002"].landmarks, pub.face68(), atol=1e-4)
    few = READERS["aflw2000"](tmp_path, points="pt2d", within_99=False)
    faces = good(few.read("test"))
    assert len(faces) == 3 and faces["image00006"].landmarks is None and "landmarks" not in few.columns
    np.testing.assert_allclose(faces["image00002"].box, head_box(np.array([[10.0, 12], [40, 50]])), atol=1e-5)


def test_aflw2000_without_enough_visible_points_is_rejected(tmp_path):
    pub.aflw2000(tmp_path)
    path = tmp_path / "AFLW2000/image00002.mat"
    content = {key: value for key, value in scipy.io.loadmat(path).items() if not key.startswith("_")}
    scipy.io.savemat(path, content | {"pt2d": np.full((2, 21), -1.0)})
    (reject,) = bad(read("aflw2000", tmp_path, "test", points="pt2d")).values()
    assert reject.where == "AFLW2000/image00002.mat" and "3 visible points" in reject.reason


# --- BIWI ---------------------------------------------------------------------------------------------------------


def test_a_head_turned_to_the_images_left_has_positive_yaw(tmp_path):
    pub.biwi(tmp_path)
    faces = good(read("biwi", tmp_path, "test"))
    np.testing.assert_allclose(faces["01/frame_00003"].pose, (0, 0, 0), atol=1e-4)
    np.testing.assert_allclose(faces["01/frame_00004"].pose, (0, 30, 0), atol=1e-4)
    # the nose of a face before the camera points to it, along -z of the camera's axes; turned, to smaller x
    turn = np.array([[np.cos(np.pi / 6), 0, 0.5], [0, 1, 0], [-0.5, 0, np.cos(np.pi / 6)]])
    assert (turn @ [0, 0, -1])[0] == -0.5


def test_angles_of_a_matrix_are_those_of_300wlp():
    """The model matrix of 300W-LP (rows: axes of the head; y up, z to the viewer) seen in the camera's axes."""
    flip = np.diag([1.0, -1.0, -1.0])
    rng = np.random.default_rng(0)
    for angles in rng.uniform((-60, -80, -40), (60, 80, 40), (50, 3)):
        np.testing.assert_allclose(euler(flip @ matrix_of_degrees(angles).T @ flip), angles, atol=1e-4)


def test_biwi_boxes(tmp_path):
    pub.biwi(tmp_path)
    face = good(read("biwi", tmp_path, "test"))["01/frame_00003"]
    # (25 - 25, -50, 1000) mm before the colour camera, 500 pixels of focal length: (320, 215), side 260 / 2
    np.testing.assert_allclose(face.box, (255, 150, 385, 280), atol=1e-4)
    with pytest.raises(DataError, match="boxes"):
        read("biwi", tmp_path, "test", box="list")
    text = "01/frame_00003 1 2 3 4\n01/frame_00003  1 2 3 4\n01/frame_00004 1 2 x 4\n"
    pub.put(tmp_path / "boxes.txt", f"{text}03/frame_00004 1 2 3 4\n03/frame_00004 1 2 3 5\n15/frame_00003 1 2\n")
    items = read("biwi", tmp_path, "test", box="list")
    assert good(items)["01/frame_00003"].box.tolist() == [1, 2, 3, 4]
    assert "number" in bad(items)["01/frame_00004"].reason and "no line" in bad(items)["03/frame_00003"].reason
    assert "two lines" in bad(items)["03/frame_00004"].reason and "x1 y1 x2 y2" in bad(items)["15/frame_00003"].reason


def test_biwi_70_30_keeps_a_person_on_one_side(tmp_path):
    pub.biwi(tmp_path, sequences=[f"{n:02d}" for n in range(1, 25)])
    train, test = ({item.group for item in read("biwi", tmp_path, s, protocol="70_30")} for s in ("train", "test"))
    assert len(train) == 14 and len(test) == 6 and not train & test  # 20 people on 24 sequences
    assert good(read("biwi", tmp_path, "test"))["15/frame_00003"].group == "person 03"


def test_biwi_damaged_poses_are_rejected_alone(tmp_path):
    pub.biwi(tmp_path)
    home = tmp_path / "hpdb"
    pub.put(home / "01/frame_00003_pose.txt", "1 0 0\n0 1 0\n")
    pub.put(home / "01/frame_00004_pose.txt", "1 0 0\n0 1 0\n0 0 2\n\n0 0 900\n")
    pub.put(home / "03/frame_00003_pose.txt", "1 0 0\n0 1 0\n0 0 nan\n\n0 0 900\n")
    (home / "03/frame_00004_rgb.png").unlink()
    (home / "15/rgb.cal").unlink()
    found = bad(read("biwi", tmp_path, "test"))
    reasons = {key: reject.reason for key, reject in found.items()}
    assert "found 6 numbers" in reasons["01/frame_00003"] and "not a rotation" in reasons["01/frame_00004"]
    assert "finite" in reasons["03/frame_00003"] and "missing" in reasons["03/frame_00004"]
    assert "rgb.cal is missing" in reasons["15/frame_00003"] and len(found) == 6


def test_biwi_names_the_calibration_that_is_wrong_and_the_sequences_that_are_absent(tmp_path):
    pub.biwi(tmp_path, sequences=[f"{n:02d}" for n in range(1, 24)])
    with open(tmp_path / "hpdb/02/rgb.cal", "ab") as handle:
        handle.write(b"\xe9\n")
    reader = READERS["biwi"](tmp_path)
    found = bad(reader.read("test"))
    assert set(found) == {"02/frame_00003", "02/frame_00004"}
    assert all(reject.reason.startswith("hpdb/02/rgb.cal: expected a number") for reject in found.values())
    (check,) = reader.checks()
    assert (check.status, check.detail) == ("fail", "absent: 24")


# --- COFW ---------------------------------------------------------------------------------------------------------


def test_cofw_points_images_and_flags(tmp_path):
    pub.cofw(tmp_path)
    faces = good(read("cofw", tmp_path, "train"))
    assert list(faces) == ["train/0001", "train/0002", "train/0003"]
    face = faces["train/0001"]
    assert face.landmarks[0].tolist() == [9, 11] and face.visibility.tolist() == [1] * 4 + [0] + [1] * 24
    np.testing.assert_array_equal(decode_image(face.image), pub.picture(0))  # upright and without loss
    grey = decode_image(faces["train/0002"].image)
    np.testing.assert_array_equal(grey, np.repeat(pub.picture(1)[..., :1], 3, axis=2))
    np.testing.assert_array_equal(face.box, landmark_box(face.landmarks))
    kept = good(read("cofw", tmp_path, "train", origin="as_published", box="published"))["train/0001"]
    assert kept.landmarks[0].tolist() == [10, 12] and kept.box.tolist() == [6, 8, 36, 48]


def test_cofw_may_be_judged_by_the_pupils(tmp_path):
    pub.cofw(tmp_path)
    for options, nme in ({}, "nme_inter_ocular"), ({"normaliser": "inter_pupil"}, "nme_inter_pupil"):
        specs = {spec.name: spec for spec in specs_of("cofw", READERS["cofw"](tmp_path, **options), like="cofw")}
        task = specs["landmarks_cofw"]
        assert task.options["headline"] == nme and task.options["auc"] == {nme: 0.10}
        assert set(task.options["normalisers"]) == {"nme_inter_ocular", "nme_inter_pupil"}
    assert task.options["normalisers"]["nme_inter_pupil"] == ((16,), (17,))  # the pupils are points of their own


def test_cofw_damaged_faces_are_rejected_alone(tmp_path):
    pub.cofw(tmp_path, faces=(5, 2))
    with h5py.File(tmp_path / "COFW_train_color.mat", "r+") as file:
        file["phisTr"][3, 0] = np.nan
        file["phisTr"][60, 1] = 0.5
        file["IsTr"][0, 3] = file.create_dataset("#refs#/x", data=np.zeros((3, 4, 5))).ref
        file["IsTr"][0, 2] = h5py.Reference()
    items = read("cofw", tmp_path, "train")
    found = bad(items)
    assert list(good(items)) == ["train/0005"]
    assert "finite" in found["train/0001"].reason and found["train/0001"].where == "COFW_train_color.mat:1"
    assert "flags" in found["train/0002"].reason and "element 3" in found["train/0003"].reason
    assert "8 bits" in found["train/0004"].reason


# --- WFLW ---------------------------------------------------------------------------------------------------------


def test_wflw_boxes_subsets_and_groups(tmp_path):
    pub.wflw(tmp_path)
    train, test = read("wflw", tmp_path, "train"), read("wflw", tmp_path, "test")
    assert [face.subsets for face in test] == [("expression", "blur"), ("largepose", "expression")]
    assert train[0].group == train[1].group != train[2].group and train[0].key != train[1].key
    assert train[0].key == "36--Football/36_Football_game_36_1.jpg@8.000,10.000" and not train[0].subsets
    np.testing.assert_allclose(train[1].landmarks, pub.face98(0.25), atol=1e-5)
    np.testing.assert_array_equal(train[1].box, landmark_box(train[1].landmarks))
    assert read("wflw", tmp_path, "train", box="detector")[0].box.tolist() == [5, 6, 45, 55]
    with pytest.raises(ConfigError, match="detector"):
        READERS["wflw"](tmp_path, annotations="csv", box="detector")


def test_wflw_lists_of_subsets_are_compared_with_the_flags(tmp_path):
    pub.wflw(tmp_path)
    pub.put(tmp_path / "WFLW_annotations/list_98pt_test/list_98pt_test_blur.txt", "x\nx\n")
    reader = READERS["wflw"](tmp_path)
    list(reader.read("test"))
    checks = {check.name.split(":")[0]: check.status for check in reader.checks()}
    assert checks == {"largepose": "pass", "expression": "pass", "makeup": "pass", "blur": "fail",
                      "illumination": "na", "occlusion": "na"}  # fmt: skip


def test_wflw_csv_gives_the_same_faces(tmp_path):
    pub.wflw(tmp_path)
    header = ["image_name", "scale", "center_w", "center_h"]
    header += [f"original_{k}_{axis}" for k in range(98) for axis in "xy"]
    for part in ("train", "test"):
        rows = [",".join(header)]
        for face in read("wflw", tmp_path, part):
            x1, y1, x2, y2 = face.box.astype(float)
            values = [(x2 - x1) / 200, (x1 + x2) / 2, (y1 + y2) / 2, *face.landmarks.ravel()]
            rows.append(",".join([face.group, *map(str, values)]))
        pub.put(tmp_path / f"face_landmarks_wflw_{part}.csv", "\n".join(rows) + "\n")
    pub.put(tmp_path / "face_landmarks_wflw_test_blur.csv", "\n".join(rows[:2]) + "\n")
    for part in ("train", "test"):
        text, table = read("wflw", tmp_path, part), read("wflw", tmp_path, part, annotations="csv")
        assert [face.key for face in text] == [face.key for face in table]
        for one, other in zip(text, table, strict=True):
            np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-4)
            np.testing.assert_allclose(one.box, other.box, atol=1e-4)
    assert [face.subsets for face in table] == [("blur",), ()]


def test_wflw_damaged_lines_are_rejected_alone(tmp_path):
    pub.wflw(tmp_path)
    path = tmp_path / "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt"
    whole = path.read_text().splitlines()
    short, broken = " ".join(whole[0].split()[2:]), whole[1].replace("8.250000", "nan", 1)
    flag = whole[0].replace(" 0 1 0 0 0 1 ", " 0 1 0 0 0 7 ").replace("8.000000", "8.125000", 1)
    absent = whole[2].replace("_2.jpg", "_99.jpg")
    path.write_text("\n".join([short, broken, flag, absent, whole[2]]) + "\n")
    items = read("wflw", tmp_path, "train")
    reasons = {int(reject.where.split(":")[1]): reject.reason for reject in bad(items).values()}
    assert len(good(items)) == 1 and set(reasons) == {1, 2, 3, 4}
    assert "207 fields, found 205" in reasons[1] and "finite" in reasons[2]
    assert "attribute flag" in reasons[3] and "missing" in reasons[4]


# --- 300VW --------------------------------------------------------------------------------------------------------


def test_300vw_reads_the_test_videos_by_category(tmp_path):
    pub.w300vw(tmp_path)
    items = read("300vw", tmp_path, "test")
    assert [(face.key, face.subsets) for face in items] == [
        *[(f"114/{n:06d}", ("category_1",)) for n in (1, 2, 3)],
        *[(f"410/{n:06d}", ("category_3",)) for n in (1, 2)],
    ]
    assert {face.group for face in items} == {"114", "410"} and not read("300vw", tmp_path, "train")
    np.testing.assert_allclose(items[0].landmarks, pub.face68(), atol=1e-5)
    np.testing.assert_array_equal(items[0].box, landmark_box(items[0].landmarks))


def test_300vw_decodes_a_video_where_no_frames_were_extracted(tmp_path):
    home = tmp_path / "300VW_Dataset_2015_12_14/114"
    home.mkdir(parents=True)
    video = cv2.VideoWriter(str(home / "vid.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for frame in range(4):
        video.write(np.full((48, 64, 3), 50 * (frame + 1), np.uint8))
    video.release()
    for frame in (1, 3, 4, 6):  # 2 has no annotation, 6 no picture
        pub.put(home / f"annot/{frame:06d}.pts", pub.pts_text(pub.face68() * 0.5 + 1))
    items = read("300vw", tmp_path, "test")
    faces = good(items)
    levels = {key: float(decode_image(face.image).mean()) for key, face in faces.items()}
    assert levels == pytest.approx({"114/000001": 50, "114/000003": 150, "114/000004": 200}, abs=4)
    assert "ends before" in bad(items)["114/000006"].reason
    (home / "vid.avi").unlink()
    assert "vid.avi is missing" in bad(read("300vw", tmp_path, "test"))["114/000001"].reason


def test_300vw_damaged_frames_are_rejected_alone(tmp_path):
    pub.w300vw(tmp_path)
    home = tmp_path / "300VW_Dataset_2015_12_14/114"
    pub.put(home / "annot/000001.pts", pub.pts_text(pub.face68()[:67]))
    (home / "imgs/000002.jpg").unlink()
    items = read("300vw", tmp_path, "test")
    found = bad(items)
    assert len(good(items)) == 3
    assert found["114/000001"].where.endswith("114/annot/000001.pts") and "68 points" in found["114/000001"].reason
    assert "no image of frame 2" in found["114/000002"].reason


# --- detector boxes of 300W -----------------------------------------------------------------------------------------


def test_300w_detector_boxes(tmp_path):
    pub.w300(tmp_path)
    faces = {
        "afw": ("134212_1.jpg", "134212_2.jpg"),
        "helen_trainset": ("100032540_1.jpg", "2.jpg"),
        "lfpw_trainset": ("image_0001.png", "other.png"),
    }
    for folder, names in faces.items():
        pub.detections(tmp_path / f"Bounding_Boxes/bounding_boxes_{folder}.mat", names)
    items = read("300w", tmp_path, "train", box="detector")
    assert good(items)["afw/134212_2"].box.tolist() == [3, 5, 39, 49]
    (reject,) = bad(items).values()
    assert reject.key == "lfpw/trainset/image_0002" and "no detector box" in reject.reason and len(good(items)) == 5
    with pytest.raises(DataError, match="bounding_boxes_helen_testset"):
        read("300w", tmp_path, "test", box="detector")
