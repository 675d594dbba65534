"""The drawing of faces: what is drawn, and that every label is where the drawing says it is."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from faceptor.datasets.labels import (
    CELEBA_40,
    CELEBAMASK_19,
    LFW_73,
    alignment_template,
    facts,
    landmark_scheme,
)
from faceptor.errors import ConfigError
from faceptor.synthesis.canvas import EYE_L, EYE_R, GLASSES, HAIR, LOWER_LIP, MOUTH, NOSE, SKIN, UPPER_LIP, Canvas
from faceptor.synthesis.draw import render
from faceptor.synthesis.drawn_landmarks import landmarks
from faceptor.synthesis.face import EXPRESSIONS, OCCLUDERS, Face, sample_face
from faceptor.synthesis.features import Features
from faceptor.synthesis.head import Head
from faceptor.synthesis.identity import IDENTITY_FIELDS, sample_identity
from faceptor.synthesis.placement import FRAMES
from faceptor.synthesis.raster import rasterise

SCHEMES = {"68": "300W", "98": "WFLW", "29": "COFW", "19": "AFLW-19", "106": "LaPa-106"}
BARE = {
    "eyeglasses": False, "sunglasses": False, "hat": "", "occluder": "", "bangs": False, "hair_length": "short",
    "eyes_closed": False, "mouth_open": 0.0, "blur": 0.0, "grayscale": False, "flash": False, "mustache": False,
    "beard": False, "goatee": False, "stubble": False, "noise": 1.0,
}  # fmt: skip
FRONTAL = BARE | {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "gaze_x": 0.0, "gaze_y": 0.0}


def plane(face: Face, scheme: str = "68") -> np.ndarray:
    """Landmarks before placement, head units."""
    head = Head(face)
    marks = landmarks(head, Features.of(head))
    return marks.plane[marks.index[scheme]]


def class_near(classes: np.ndarray, point: np.ndarray, *, reach: int = 1) -> set[int]:
    x, y = np.rint(point).astype(int)
    return set(np.unique(classes[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]).tolist())


@pytest.fixture(scope="module")
def drawn():
    """Faces of all kinds with maps, large enough that a pixel is small beside a feature."""
    return [render(sample_face(3, identity=i), size=(160, 160), frame="crop", maps=True) for i in range(16)]


@pytest.fixture(scope="module")
def bare():
    """Nearly frontal faces without anything that hides a feature."""
    return [
        render(sample_face(4, identity=i, yaw=8.0 * (i % 3 - 1), **BARE), size=(224, 224), frame="crop", maps=True)
        for i in range(9)
    ]


# --- people -----------------------------------------------------------------------------------------------------------


def test_same_arguments_same_bytes():
    face = sample_face(1, identity=2, sample=3)
    assert face == sample_face(1, identity=2, sample=3)
    first, second = (render(face, size=(96, 80), frame="wild", maps=True, rng_seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.classes19, second.classes19)
    np.testing.assert_array_equal(first.landmarks["106"], second.landmarks["106"])
    assert first.attributes == second.attributes
    other = render(face, size=(96, 80), frame="wild", rng_seed=6)
    assert (other.image != first.image).any()
    np.testing.assert_array_equal(render(face, size=(96, 80), rng_seed=5).image, first.image)  # maps cost no change


def test_a_person_stays_the_same_person():
    samples = [sample_face(7, identity=11, sample=s) for s in range(6)]
    assert all(face.person == samples[0].person for face in samples)
    assert len({face.expression for face in samples}) > 1 and len({face.yaw for face in samples}) == 6
    others = [sample_face(7, identity=i).person for i in range(30)] + [sample_face(8, identity=11).person]
    assert len({person.nose_width for person in others}) == 31


def test_few_features_are_average_and_none_is_monstrous():
    people = [sample_identity(1, i) for i in range(300)]
    for name in ("nose_width", "lip_upper", "jaw_width", "brow_arch", "fat", "cheekbone"):
        scores = np.array([getattr(person, name) for person in people])
        assert (np.abs(scores) < 0.3).mean() < 0.12 and np.abs(scores).max() <= 2  # a normal score: 0.24
    skin = np.array([person.skin for person in people])
    assert not ((skin > 0.11) & (skin < 0.23)).any() and 0.1 < (skin < 0.17).mean() < 0.3  # pale skin is plainly pale


def test_habits_persist_and_are_broken_at_times():
    pairs = [[sample_face(1, identity=i, sample=s) for s in (0, 1)] for i in range(200)]
    same = np.mean([first.hair_length == second.hair_length for first, second in pairs])
    strangers = np.mean([a[0].hair_length == b[1].hair_length for a, b in pairwise(pairs)])
    assert strangers + 0.1 < same < 1


def test_fixing_a_field_leaves_the_others():
    free, fixed = sample_face(1, identity=4), sample_face(1, identity=4, yaw=12.5, nose_width=1.5)
    assert fixed == replace(free, yaw=12.5, person=replace(free.person, nose_width=1.5))
    assert "nose_width" in IDENTITY_FIELDS
    with pytest.raises(ConfigError, match="nose_widht"):
        sample_face(1, identity=4, nose_widht=1.0)


def test_what_excludes_what():
    for i in range(150):
        face = sample_face(9, identity=i)
        assert not (face.eyeglasses and face.sunglasses)
        assert not (face.bald and (face.bangs or face.hat or face.hair_length != "short"))
        assert not (face.sideburns and (face.bald or face.hair_length != "short"))  # they would not be seen
        assert not face.beard or (face.mustache and not face.goatee)
        assert face.male or not (face.mustache or face.beard or face.goatee or face.sideburns or face.stubble)
        assert 16 <= face.age <= 77 and abs(face.yaw) <= 60 and abs(face.pitch) <= 25 and abs(face.roll) <= 25


# --- landmarks --------------------------------------------------------------------------------------------------------


def test_every_scheme_is_complete(drawn):
    # FaceSynthetics: the 68 of 300W and the pupils, which its writer adds
    assert set(SCHEMES.values()) == set(facts()["landmarks"]) - {"FaceSynthetics"}
    for portrait in drawn:
        for count, name in SCHEMES.items():
            points, visible = portrait.landmarks[count], portrait.visible[count]
            assert points.shape == (landmark_scheme(name).count, 2) and points.dtype == np.float32
            assert visible.shape == points.shape[:1] and visible.dtype == bool
            assert np.isfinite(points).all()


def test_schemes_agree_where_they_share_points():
    aflw, cofw = (landmark_scheme(name).names.index for name in ("AFLW-19", "COFW"))
    shared = {
        "eye outer left": {"68": 36, "98": 60, "106": 66, "29": cofw("left_eye_outer")},
        "eye inner left": {"68": 39, "98": 64, "106": 70, "29": cofw("left_eye_inner")},
        "eye ends left": {"98": 60, "19": aflw("left_eye_left_corner")},
        "eye inner right": {"68": 42, "98": 68, "106": 75, "19": aflw("right_eye_left_corner")},
        "eye outer right": {"68": 45, "98": 72, "106": 79, "29": cofw("right_eye_outer")},
        "pupil left": {"98": 96, "106": 74, "19": aflw("left_eye_center"), "29": cofw("left_pupil")},
        "pupil right": {"98": 97, "106": 105, "19": aflw("right_eye_center"), "29": cofw("right_pupil")},
        "nose tip": {"68": 30, "98": 54, "106": 54, "19": aflw("nose_center"), "29": cofw("nose_upper")},
        "below the nose": {"68": 33, "98": 57, "106": 60, "29": cofw("nose_lower")},
        "mouth left": {"68": 48, "98": 76, "106": 84, "19": aflw("mouth_left_corner"), "29": cofw("mouth_left_corner")},
        "mouth right": {"68": 54, "98": 82, "106": 90, "29": cofw("mouth_right_corner")},
        "inner lip top": {"68": 62, "98": 90, "106": 98, "29": cofw("upper_lip_bottom")},
        "inner lip bottom": {"68": 66, "98": 94, "106": 102, "29": cofw("lower_lip_top")},
        "chin": {"68": 8, "98": 16, "106": 16, "19": aflw("chin_center"), "29": cofw("chin")},
    }  # fmt: skip
    portrait = render(sample_face(2, identity=3, yaw=25.0), size=(128, 128), frame="crop")
    for name, places in shared.items():
        points = np.array([portrait.landmarks[scheme][i] for scheme, i in places.items()])
        np.testing.assert_allclose(points, np.broadcast_to(points[0], points.shape), atol=1e-4, err_msg=name)
    np.testing.assert_array_equal(portrait.landmarks["98"][:33:2], portrait.landmarks["68"][:17])
    five = landmark_scheme("WFLW").group("left_eye")
    np.testing.assert_allclose(portrait.points5[0], portrait.landmarks["98"][list(five)].mean(0), atol=1e-3)
    np.testing.assert_array_equal(portrait.points5[2:], portrait.landmarks["68"][[30, 48, 54]])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_symmetric_face_obeys_the_flip(scheme):
    permutation = list(landmark_scheme(SCHEMES[scheme]).flip)
    for i in range(4):
        points = plane(sample_face(5, identity=i, **FRONTAL), scheme)
        np.testing.assert_allclose(points[permutation] * [-1, 1], points, atol=1e-9)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_turned_face_mirrors_into_the_face_turned_the_other_way(scheme):
    permutation = list(landmark_scheme(SCHEMES[scheme]).flip)
    right, left = (
        plane(sample_face(5, identity=1, **FRONTAL | {"yaw": yaw, "roll": roll, "pitch": 9.0}), scheme)
        for yaw, roll in ((35.0, 10.0), (-35.0, -10.0))
    )
    np.testing.assert_allclose(left[permutation] * [-1, 1], right, atol=1e-9)


def test_pose_moves_the_face_as_documented():
    tip, straight = 30, plane(sample_face(5, identity=2, **FRONTAL))
    turned = {name: plane(sample_face(5, identity=2, **FRONTAL | {name: 20.0})) for name in ("yaw", "pitch", "roll")}
    assert turned["yaw"][tip, 0] < straight[tip, 0] - 0.2  # nose to image-left
    assert turned["pitch"][tip, 1] < straight[tip, 1] - 0.2  # nose up
    assert turned["roll"][45, 1] > straight[45, 1] + 0.1 > turned["roll"][36, 1]  # clockwise


def test_visible_points_lie_in_the_picture_and_face_the_camera():
    hidden = {}
    for yaw in (-60.0, 0.0, 60.0):
        portrait = render(sample_face(6, identity=1, **FRONTAL | {"yaw": yaw}), size=(128, 128), frame="crop")
        hidden[yaw] = ~portrait.visible["98"]
    left_eye, right_eye = slice(60, 68), slice(68, 76)
    assert hidden[60.0][left_eye].sum() > 2 and not hidden[60.0][right_eye].any()  # nose to image-left hides that side
    assert hidden[-60.0][right_eye].sum() > 2 and not hidden[-60.0][left_eye].any()
    # the last point of the contour lies in the hair at the temple
    assert not hidden[0.0].any() and hidden[60.0][:11].all() and not hidden[60.0][16:32].any()
    for i in range(8):  # aligned pictures cut chins and ears off
        portrait = render(sample_face(6, identity=i), size=(112, 112), frame="arcface")
        for count, points in portrait.landmarks.items():
            outside = ((points < 0) | (points > 111)).any(axis=1)
            assert not portrait.visible[count][outside].any()


def test_sunglasses_hide_the_eyes():
    portrait = render(sample_face(6, identity=3, **FRONTAL | {"sunglasses": True}), size=(128, 128), maps=True)
    assert not portrait.visible["98"][60:76].any() and not portrait.visible["98"][96:].any()
    assert portrait.visible["98"][76:96].all()
    assert "eye_g" in portrait.parts and not {"l_eye", "r_eye"} & set(portrait.parts)
    assert GLASSES in class_near(portrait.classes19, portrait.points5[0], reach=0)


def test_spectacles_leave_the_eyes_to_be_seen():
    fields = FRONTAL | {"eyeglasses": True}
    portrait = render(sample_face(6, identity=3, **fields), size=(160, 160), frame="crop", maps=True)
    assert portrait.visible["98"][60:76].all() and {"eye_g", "l_eye", "r_eye"} <= set(portrait.parts)
    assert EYE_L in class_near(portrait.classes19, portrait.landmarks["98"][96], reach=0)


@pytest.mark.parametrize("occluder", OCCLUDERS)
def test_points_behind_an_occluder_are_hidden(occluder):
    fields = FRONTAL | {"texture": 1}
    free, behind = (
        render(sample_face(6, identity=3, **fields | {"occluder": name}), size=(128, 128), frame="crop", maps=True)
        for name in ("", occluder)
    )
    np.testing.assert_array_equal(free.landmarks["98"], behind.landmarks["98"])
    hidden = free.visible["98"] & ~behind.visible["98"]
    changed = np.abs(free.image.astype(float) - behind.image).max(axis=-1) > 20
    x, y = np.rint(free.landmarks["98"]).astype(int).T
    assert 3 < hidden.sum() < 60 and (changed[y, x] | ~hidden).mean() > 0.95
    assert (behind.classes19[y, x][hidden] == 0).all() and behind.classes19.max() < len(CELEBAMASK_19)


def test_box_holds_the_face(drawn):
    for portrait in drawn:
        x1, y1, x2, y2 = portrait.box
        points = portrait.landmarks["68"]
        assert (points >= [x1 - 1e-3, y1 - 1e-3]).all() and (points <= [x2 + 1e-3, y2 + 1e-3]).all()
        assert y1 < points[17:27, 1].min() and 0 <= x1 < x2 <= 159 and 0 <= y1 < y2 <= 159


# --- placement --------------------------------------------------------------------------------------------------------


def test_aligned_frames_put_the_five_points_in_place():
    template = alignment_template("arcface_112x112")
    faces = [sample_face(1, identity=i, yaw=0.0, pitch=0.0) for i in range(6)]
    five = np.array([render(face, size=(112, 112), frame="arcface").points5 for face in faces])
    assert np.abs(five - template).mean() < 3.5
    np.testing.assert_allclose(five.mean(axis=1), np.broadcast_to(template.mean(axis=0), (6, 2)), atol=1e-3)


@pytest.mark.parametrize("frame", FRAMES)
def test_extreme_poses_draw_in_every_frame(frame):
    for yaw, pitch, size in ((60.0, 25.0, (64, 64)), (-60.0, -25.0, (72, 60)), (60.0, -25.0, (48, 64))):
        face = sample_face(3, identity=2, yaw=yaw, pitch=pitch, roll=25.0, expression=3, intensity=1.0)
        portrait = render(face, size=size, frame=frame, maps=True)
        assert portrait.image.shape == (*size, 3) and portrait.image.dtype == np.uint8
        assert portrait.classes19.shape == portrait.classes11.shape == size
        assert (portrait.classes19 == SKIN).mean() > 0.02 and portrait.pose == (yaw, pitch, 25.0)


def test_unknown_frame_is_an_error():
    with pytest.raises(ConfigError, match=r"frame.*wild.*'portrait'"):
        render(sample_face(1, identity=1), size=(64, 64), frame="portrait")


def test_the_large_and_the_small_picture_show_the_same():
    face = sample_face(1, identity=5)
    small, large = (render(face, size=(s, s), frame="celebahq", maps=True) for s in (128, 512))
    np.testing.assert_allclose(small.landmarks["98"] * 4, large.landmarks["98"], atol=1e-3)
    agree = small.classes19 == large.classes19[2::4, 2::4]
    assert agree.mean() > 0.94


# --- class maps -------------------------------------------------------------------------------------------------------


def test_parts_are_the_classes(drawn):
    suffix = facts()["parsing"]["CelebAMask-HQ"]["mask_file_suffix_per_class"]
    for portrait in drawn:
        classes = portrait.classes19
        assert classes.max() < len(CELEBAMASK_19) and portrait.classes11.max() < 11
        assert set(portrait.parts) == {suffix[c] for c in np.unique(classes) if c}
        joined = np.zeros_like(classes)
        for name, mask in portrait.parts.items():
            assert mask.dtype == bool
            joined[mask] = suffix.index(name)
        np.testing.assert_array_equal(joined, classes)
        # LaPa: hair is the last class, the background holds what is neither face nor hair
        np.testing.assert_array_equal(portrait.classes11 == 10, classes == HAIR)
        assert portrait.classes11[classes == NOSE].tolist() == [6] * int((classes == NOSE).sum())
    assert not render(sample_face(1, identity=1), size=(64, 64)).parts


def test_landmarks_lie_on_the_drawn_features(bare):
    for portrait in bare:
        points, classes = portrait.landmarks["98"], portrait.classes19
        for group, cls in ((range(60, 68), EYE_L), (range(68, 76), EYE_R)):
            for i in group:
                near = class_near(classes, points[i], reach=2)
                assert cls in near and len(near) > 1, (i, near)  # on the border: the eye on one side only
        for i in (76, 82):
            assert {UPPER_LIP, LOWER_LIP, MOUTH} & class_near(classes, points[i], reach=3)
        assert UPPER_LIP in class_near(classes, points[79]) and LOWER_LIP in class_near(classes, points[85])
        assert class_near(classes, points[54], reach=0) == {NOSE}
        assert [class_near(classes, points[i], reach=0) for i in (96, 97)] == [{EYE_L}, {EYE_R}]
        contour = points[8:25]
        assert all(SKIN in class_near(classes, point, reach=3) for point in contour)
        for point in contour + (contour - points[54]) * 0.08:
            assert SKIN not in class_near(classes, point, reach=0)


def test_an_open_mouth_and_closed_eyes_show():
    frontal = FRONTAL | {"identity": 4, "intensity": 1.0}
    surprise, calm = (
        render(sample_face(2, expression=EXPRESSIONS.index(name), **frontal), size=(160, 160), frame="crop", maps=True)
        for name in ("surprise", "neutral")
    )
    assert "mouth" in surprise.parts and "mouth" not in calm.parts
    closed = render(
        sample_face(2, expression=0, **frontal | {"eyes_closed": True}), size=(160, 160), frame="crop", maps=True
    )
    assert closed.parts["l_eye"].sum() < 0.4 * calm.parts["l_eye"].sum()
    assert closed.attributes["lfw:Eyes Open"] is False and calm.attributes["lfw:Eyes Open"] is True


# --- age, expression, attributes --------------------------------------------------------------------------------------


def test_age_changes_the_picture_and_little_else():
    young, old = (
        render(sample_face(2, identity=1, age=age, looks_older=0.0, **FRONTAL), size=(128, 128), frame="crop")
        for age in (20.0, 75.0)
    )
    assert (young.age, old.age) == (20.0, 75.0) and young.identity == old.identity
    difference = np.abs(young.image.astype(float) - old.image).mean()
    again = sample_face(2, identity=1, age=21.0, looks_older=0.0, **FRONTAL)
    nearby = np.abs(young.image.astype(float) - render(again, size=(128, 128), frame="crop").image).mean()
    assert difference > 2 * nearby
    assert old.attributes["celeba:Gray_Hair"] or old.attributes["celeba:Bald"]
    assert old.attributes["celeba:Bags_Under_Eyes"] and not young.attributes["celeba:Bags_Under_Eyes"]
    assert young.attributes["celeba:Young"] and old.attributes["lfw:Senior"]


@pytest.mark.parametrize("male", [False, True])
def test_every_decade_shows(male):
    def picture(age: float, identity: int) -> np.ndarray:
        fixed = {"looks_older": 0.0, "male": male, "bald": False, "receding": 0.0, "lipstick": False}
        face = sample_face(2, identity=identity, age=age, **FRONTAL | fixed)
        return render(face, size=(128, 128), frame="crop").image.astype(float)

    decades = [
        np.mean([np.abs(picture(age + 10, i) - picture(age, i)).mean() for i in range(4)])
        for age in (16.0, 26.0, 36.0, 46.0, 56.0, 66.0)
    ]
    assert min(decades) > 0.5 * np.median(decades), np.round(decades, 2)


def shapes(name: str, identity: int) -> dict[str, float]:
    """Measures of a frontal face with an expression, head units, positive = as the name says."""
    face = sample_face(2, identity=identity, expression=EXPRESSIONS.index(name), intensity=1.0, **FRONTAL)
    p = plane(face, "98")
    return {
        "corners up": -(p[76, 1] + p[82, 1]) / 2, "mouth open": p[94, 1] - p[90, 1],
        "mouth wide": p[82, 0] - p[76, 0], "lips thick": p[90, 1] - p[79, 1], "chin low": p[16, 1],
        "inner brow up": -(p[37, 1] + p[42, 1]) / 2, "outer brow up": -(p[33, 1] + p[46, 1]) / 2,
        "brows together": p[37, 0] - p[42, 0], "eye open": p[66, 1] - p[62, 1], "upper lip up": -p[90, 1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "more", "less"),
    [
        ("happy", ("corners up", "mouth wide", "mouth open"), ("eye open",)),
        ("sad", ("inner brow up",), ("corners up", "outer brow up", "eye open")),
        ("surprise", ("mouth open", "chin low", "inner brow up", "outer brow up", "eye open"), ("mouth wide",)),
        ("fear", ("mouth open", "mouth wide", "eye open", "inner brow up", "brows together"), ("corners up",)),
        ("disgust", ("upper lip up", "mouth open"), ("inner brow up", "eye open")),
        ("anger", ("brows together",), ("inner brow up", "lips thick", "corners up")),
    ],
)
def test_expressions_move_the_landmarks(name, more, less):
    for identity in range(4):
        calm, moved = shapes("neutral", identity), shapes(name, identity)
        assert all(moved[key] > calm[key] + 0.01 for key in more), {key: moved[key] - calm[key] for key in more}
        assert all(moved[key] < calm[key] - 0.01 for key in less), {key: moved[key] - calm[key] for key in less}


def test_every_attribute_has_an_answer(drawn):
    for portrait in drawn:
        known = {name: value for name, value in portrait.attributes.items() if value is not None}
        assert set(portrait.attributes) == {f"celeba:{n}" for n in CELEBA_40} | {f"lfw:{n}" for n in LFW_73}
        assert all(type(value) is bool for value in known.values())
        assert sum(name.startswith("celeba:") for name in known) >= 25
        assert sum(name.startswith("lfw:") for name in known) >= 35
        for name in CELEBA_40:  # both lists name many attributes alike; they cannot disagree
            twin = f"lfw:{name.replace('_', ' ')}"
            if twin in portrait.attributes and name != "Mouth_Slightly_Open":
                assert portrait.attributes[twin] == portrait.attributes[f"celeba:{name}"], name


def test_attributes_follow_the_picture():
    def has(name: str, **fields) -> bool:
        return render(sample_face(2, identity=1, **FRONTAL | fields), size=(48, 48)).attributes[name]

    assert has("celeba:Eyeglasses", eyeglasses=True) and not has("celeba:Eyeglasses")
    assert has("lfw:Sunglasses", sunglasses=True) and not has("lfw:No Eyewear", sunglasses=True)
    assert has("celeba:Wearing_Hat", hat="cap") and has("lfw:Obstructed Forehead", hat="cap")
    assert has("celeba:Smiling", expression=1) and not has("celeba:Smiling", expression=6)
    assert has("celeba:Bald", bald=True) and not has("celeba:Black_Hair", bald=True, hair_colour="black")
    assert has("celeba:Gray_Hair", grey=1.0, bald=False) and has("celeba:Mustache", mustache=True)
    assert not has("celeba:No_Beard", stubble=True) and has("celeba:No_Beard")
    for texture, shows in (("straight", False), ("wavy", False), ("curly", True)):
        hair = {"hair_texture": texture, "bald": False}
        assert has(f"lfw:{texture.title()} Hair", hair_length="long", **hair)
        assert has(f"lfw:{texture.title()} Hair", hair_length="short", **hair) == shows, "too short to show it"


# --- parts of the drawing ---------------------------------------------------------------------------------------------


def test_locating_undoes_the_surface():
    head = Head(sample_face(2, identity=6))
    u, v = np.meshgrid(np.linspace(-0.9, 0.9, 9), np.linspace(-0.5, 1.1, 9))
    uv = np.stack([u, v], axis=-1)
    np.testing.assert_allclose(head.locate(head.surface(u, v)[..., :2]), uv, atol=0.02)


def test_a_flat_mesh_shows_its_own_cells():
    x, y = np.meshgrid(np.arange(5.0), np.arange(4.0))
    column, row = rasterise(np.stack([2 * x + 1, 3 * y + 2, 0 * x], axis=-1), height=14, width=12)
    at_y, at_x = np.mgrid[:14, :12]
    inside = (at_x >= 1) & (at_x <= 9) & (at_y >= 2) & (at_y <= 11)
    np.testing.assert_array_equal(column >= 0, inside)
    np.testing.assert_allclose(column[inside], (at_x[inside] - 1) / 2, atol=1e-4)
    np.testing.assert_allclose(row[inside], (at_y[inside] - 2) / 3, atol=1e-4)


def test_nearer_parts_of_a_mesh_cover_farther_ones():
    rim = np.array([[1, 1, 0], [9, 1, 0], [1, 1, 5], [9, 1, 5]], float)
    folded = np.stack([rim, rim - [0, -8, 0]])
    column, _ = rasterise(folded, height=10, width=10)
    assert (column[2:8, 2:8] > 2).all()  # the strip in the back and the fold that faces away are not seen


def test_a_canvas_labels_what_it_paints():
    canvas = Canvas(np.zeros((3, 20, 20), np.float32))
    canvas.fill(np.array([[5, 5], [14, 5], [14, 14], [5, 14]]), (100, 50, 0), 7)
    assert (canvas.classes[6:14, 6:14] == 7).all() and (canvas.classes == 7).sum() <= 100
    np.testing.assert_allclose(canvas.planes[:, 10, 10], [100, 50, 0])
    canvas.fill(np.array([[-50, -50], [-40, -50], [-40, -40]]), (9, 9, 9), 3)  # outside: nothing happens
    canvas.fill(np.array([[0, 10], [19, 10]]), (0, 0, 0), 4, alpha=0.0, line=2.0)  # the class alone
    assert (canvas.classes == 3).sum() == 0 and canvas.classes[10, 10] == 4 and canvas.planes[0, 10, 10] == 100
