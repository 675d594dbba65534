"""A user's own data set: its YAML, its label file, its records, and the tasks made from them."""

import copy
import json
import re
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from faceptor.datasets.reader import Record, Reject
from faceptor.datasets.readers.generic import Generic
from faceptor.errors import ConfigError, DataError
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from faceptor.tasks import KINDS, TaskSpec
from faceptor.tasks.custom import specs_of
from tests.datasets import published as pub

POINTS = {"left_eye": (12, 15), "right_eye": (28, 14), "nose": (20, 22), "chin": (21, 36)}
DESCRIPTION = {
    "title": "Three friends",
    "labels": "labels.csv",
    "images": "photos",
    "image": "file",
    "split": "part",
    "group": "person",
    "landmarks": {
        "points": [f"{name}_{axis}" for name in POINTS for axis in "xy"],
        "names": list(POINTS),
        "flip": [["left_eye", "right_eye"]],
        "normalisers": {"nme_eyes": ["left_eye", "right_eye"], "nme_diag": "diag"},
    },
    "age": "years",
    "expression": {"column": "mood", "classes": ["calm", "cheerful", "cross"]},
    "attributes": ["glasses", "hat"],
}
MOODS = ("calm", "cheerful", "2")


def row(i, test):
    points = [value + i % 5 for xy in POINTS.values() for value in xy]
    part = "test" if i >= 18 - test else "val" if i == 3 else "train"
    return [f"{i:03d}.jpg", part, f"p{i // 2}", *points, 20 + i, MOODS[i % 3], i % 2, "" if i % 4 == 3 else "yes",
            1 + i % 7, "" if i % 5 == 4 else i / 9 - 1]  # fmt: skip


def own(root, *, faces=18, test=4, **changes):
    """A folder as a user might have it."""
    description = DESCRIPTION | changes
    for i in range(faces):
        pub.put(root / f"photos/{i:03d}.jpg", pub.jpg(i, 48, 40))
    header = ["file", "part", "person", *DESCRIPTION["landmarks"]["points"], "years", "mood", "glasses", "hat",
              "trust", "valence"]  # fmt: skip
    rows = [",".join(map(str, values)) for values in (header, *(row(i, test) for i in range(faces)))]
    pub.put(root / "labels.csv", "\n".join(rows) + "\n")
    pub.put(root / "mine.yaml", yaml.safe_dump(description, sort_keys=False))
    return root


def reader(root, **options):
    return Generic(root, **({"description": "mine.yaml"} | options))


def test_records_say_what_the_columns_say(tmp_path):
    records = list(reader(own(tmp_path)).read("train"))
    assert len(records) == 14 and all(isinstance(record, Record) for record in records)
    third = records[3]
    assert third.key == "003.jpg" and third.group == "p1" and third.split == "train"  # val is part of training
    np.testing.assert_array_equal(third.landmarks, np.float32([*POINTS.values()]) + 3)
    np.testing.assert_array_equal(third.box, [12, 17, 34, 39])  # the square about them, whole pixels
    assert third.age == 23 and third.expression == 0 and records[2].expression == 2
    assert third.attributes.tolist() == [1, -1] and records[2].attributes.tolist() == [0, 1]
    assert [record.key for record in reader(tmp_path).read("test")] == [f"{i:03d}.jpg" for i in range(14, 18)]


def test_tasks_come_from_the_description(tmp_path):
    specs = {spec.name: spec for spec in specs_of("mine", reader(own(tmp_path)), like="generic")}
    assert set(specs) == {"landmarks_mine", "age_mine", "expression_mine", "attributes_mine"}
    assert specs["landmarks_mine"].labels == tuple(POINTS)
    assert specs["landmarks_mine"].options["headline"] == "nme_eyes"
    assert specs["landmarks_mine"].options["normalisers"] == {"nme_eyes": ((0,), (1,)), "nme_diag": "diag"}
    assert specs["expression_mine"].labels == ("calm", "cheerful", "cross")
    assert specs["attributes_mine"].labels == ("glasses", "hat")
    for spec in specs.values():  # a model folder keeps them as JSON
        assert TaskSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    mirrored = KINDS["landmarks"].mirrored(
        specs["landmarks_mine"], {"points": np.float32([[0.2, 0], [0.7, 0.1], [0.5, 0], [0.5, 1]])}
    )
    np.testing.assert_allclose(mirrored["points"], [[0.3, 0.1], [0.8, 0], [0.5, 0], [0.5, 1]], atol=1e-6)


def test_own_data_are_prepared_like_any_other(tmp_path):
    own(tmp_path / "raw")
    card = prepare(
        "mine", tmp_path / "raw", tmp_path / "out", validation=0.3, seed=1, reader="generic",
        options={"description": "mine.yaml"},
    )  # fmt: skip
    assert card["dataset"] == "mine" and card["title"] == "Three friends"
    assert sum(card["counts"].values()) == 18 and card["counts"]["test"] == 4
    assert card["landmark_scheme"]["flip_permutation"] == [1, 0, 2, 3]
    assert not [check for check in card["checks"] if check["status"] == "fail"]
    sample = open_split(tmp_path / "out", "test")[0]
    assert sample["landmarks"].shape == (4, 2) and sample["attributes"].shape == (2,)
    # The dataset card alone is enough to know the tasks again, where the raw data are not at hand.
    again = Generic(tmp_path / "gone", description=card["options"]["description"])
    assert specs_of("mine", again, like="generic") == specs_of("mine", reader(tmp_path / "raw"), like="generic")


def own_parquet(root):
    """The same folder with parquet labels: points and flags in lists, points counted from 1."""
    own(
        root,
        labels="labels.parquet",
        landmarks={"points": "points", "count": 4, "first": 1},
        attributes={"columns": "flags", "names": ["glasses", "hat"]},
    )
    rows = [row(i, 4) for i in range(18)]
    table = {
        "file": [r[0] for r in rows], "part": [r[1] for r in rows], "person": [r[2] for r in rows],
        "points": [[float(v) for v in r[3:11]] for r in rows], "years": [float(r[11]) for r in rows],
        "mood": [i % 3 for i in range(18)], "flags": [[i % 2 == 1, None] for i in range(18)],
    }  # fmt: skip
    pq.write_table(pa.table(table), root / "labels.parquet")
    (root / "labels.csv").unlink()


def test_parquet_with_list_columns(tmp_path):
    own_parquet(tmp_path)
    records = list(reader(tmp_path).read("train"))
    assert len(records) == 14 and records[1].attributes.tolist() == [1, -1] and records[1].expression == 1
    np.testing.assert_array_equal(records[0].landmarks[0], np.float32(POINTS["left_eye"]) - 1)
    (spec, *_) = specs_of("mine", reader(tmp_path), like="generic")
    assert spec.labels == ("point_0", "point_1", "point_2", "point_3") and spec.options["headline"] == "nme_diag"


def test_parquet_bombs(tmp_path):
    own_parquet(tmp_path)
    path, sound = tmp_path / "labels.parquet", pq.read_table(tmp_path / "labels.parquet")

    def write(name, column):
        pq.write_table(sound.set_column(sound.column_names.index(name), name, column), path, compression="zstd")

    items = np.zeros(200_000, np.float32)
    write("points", pa.ListArray.from_arrays(pa.array([0] * 18 + [len(items)], pa.int32()), pa.array(items)))
    rejects = list(reader(tmp_path).read("train")) + list(reader(tmp_path).read("test"))
    assert len(rejects) == 18 and rejects[-1].reason == "landmarks: expected 8 numbers, found 100000"
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 18, pa.int32()), pa.array(["x" * (1 << 24)]))
    write("person", long)
    tracemalloc.start()
    records = list(reader(tmp_path).read("train"))
    assert tracemalloc.get_traced_memory()[1] < 400 << 20 and path.stat().st_size < 1 << 16
    tracemalloc.stop()
    assert all(isinstance(item, Record | Reject) for item in records)
    path.write_bytes(path.read_bytes()[:-30] + b"damaged" + path.read_bytes()[-23:])
    with pytest.raises(DataError, match="cannot be read as parquet") as caught:
        list(reader(tmp_path).read("train"))
    assert len(str(caught.value).splitlines()) == 1


def test_as_many_classes_as_eight_bits_can_tell_apart(tmp_path):
    names = [f"mood {number}" for number in range(128)]
    own(tmp_path / "raw", expression={"column": "mood", "classes": names})
    lines = (tmp_path / "raw/labels.csv").read_text().splitlines()
    for line, number in ((1, 0), (2, 16), (3, 127), *((line, 0) for line in range(4, 19))):
        lines[line] = re.sub(",(calm|cheerful|2),", f",{names[number]},", lines[line])
    pub.put(tmp_path / "raw/labels.csv", "\n".join(lines))
    card = prepare("mine", tmp_path / "raw", tmp_path / "out", validation=0.0, seed=1, reader="generic",
                       options={"description": "mine.yaml"})  # fmt: skip
    found = card["labels"]["train"]["expression"]
    assert len(found) == 128 and {name for name, count in found.items() if count} == {names[0], names[16], names[127]}


def test_a_drawn_test_split_keeps_groups_together(tmp_path):
    root = own(tmp_path, split=0.4)
    sides = {part: {record.group for record in reader(root).read(part)} for part in ("train", "test")}
    assert sides["train"] and sides["test"] and not sides["train"] & sides["test"]
    other = {record.group for record in reader(root, seed=7).read("test")}
    assert other != sides["test"]


def test_every_bad_row_is_named(tmp_path):
    root = own(tmp_path)
    lines = (root / "labels.csv").read_text().splitlines()
    lines[1] = lines[1].replace("calm", "sleepy")
    lines[2] = lines[2].replace("train", "trian")
    lines[3] = lines[3].replace(",22,", ",old,")
    lines[4] = lines[4] + ",more"
    lines[5] = lines[5].replace("004.jpg", "../004.jpg")
    (root / "labels.csv").write_text("\n".join(lines))
    rejects = [item for item in reader(root).read("train") if isinstance(item, Reject)]
    assert [reject.where for reject in rejects] == [f"labels.csv:{line}" for line in range(2, 7)]
    for reject, part in zip(rejects, ("calm, cheerful, cross", "'trian'", "'old'", "fields", "inside"), strict=True):
        assert part in reject.reason, reject


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imagee": "x"}, "imagee: unknown key; did you mean 'image'"),
        ({"landmarks": {"points": ["a", "b"], "names": ["p", "q"]}}, "4 columns"),
        ({"landmarks": {"points": "a", "names": ["p", "q"], "flip": [["p", "r"]]}}, "no 'r'"),
        ({"landmarks": {"points": "a", "names": ["p", "q"], "flip": [["p", "q"], ["p", "p"]]}}, "one pair at most"),
        ({"landmarks": {"points": "a", "names": ["p", "q"], "normalisers": {"nme": ["p", 5]}}}, "below 2, found 5"),
        ({"expression": {"column": "mood", "classes": ["calm"]}}, "classes"),
        ({"attributes": {"columns": ["a"], "no": ["-1"]}}, "no word twice"),
        ({"box": ["a", "b"]}, "1 or 4 columns"),
        ({"split": 1.5}, "yaml: split: expected a column's name, or a share from 0 up to 1, found 1.5$"),
        ({"landmarks": {"points": "a", "count": 2, "flip": [[[0], 1]]}}, r"flip.0.0: expected a landmark or class"),
        ({"landmarks": {"points": "a", "count": 2, "normalisers": {"n": 3}}}, r"normalisers.n: expected diag, box or"),
        ({"landmarks": {"points": "a", "names": ["p", "q"], "normalisers": {"nme": ["p", None]}}}, "found None"),
        ({"landmarks": {"points": "a", "count": 2, "normalisers": {"nme": [0, [[1]]]}}}, r"number, found \[1\]"),
        ({"landmarks": {"points": "a", "count": 10**9}}, "less than or equal to 10000"),
        ({"expression": {"column": "mood", "classes": ["calm", "calm"]}}, "classes: expected every name once"),
        ({"attributes": {"columns": "flags", "names": ["hat", "hat"]}}, "names: expected every name once"),
        ({"race": {"column": "mood", "classes": list(map(str, range(3000)))}}, "at most 128 items"),
        ({"mask": {"column": "file", "classes": list(map(str, range(257)))}}, "at most 256 items"),
    ],
)
def test_a_wrong_description_names_the_key(tmp_path, changes, message):
    own(tmp_path, **changes)
    with pytest.raises(ConfigError, match=message):
        reader(tmp_path)


def leaves(values, path=()):
    """Paths of everything in nested dicts and lists."""
    yield path
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in inner:
        yield from leaves(value, (*path, key))


STRANGE = [None, True, -1, 3.5, float("nan"), 10**30, "", "..", "../..", "/etc", "part", "a\0b", "\ud800", "é" * 300]
STRANGE += [[], {}, [[["file"]]], [0, 1], ["no", "no"], {1: 2}, {"column": "mood", "classes": ["a", "b"]}, "1" * 400]


NAMES_OF_PYDANTIC = re.compile(r"0x[0-9a-f]{6}|function-|constrained-|tuple\[|\.(str|int|float|bool): ")


@pytest.mark.parametrize("path", leaves(DESCRIPTION), ids=str)
def test_any_value_in_a_description_is_read_or_refused(tmp_path, path):
    own(tmp_path, faces=3, test=1)
    for value in STRANGE:
        changed = copy.deepcopy({"top": DESCRIPTION})
        at = changed
        for key in ("top", *path)[:-1]:
            at = at[key]
        at[("top", *path)[-1]] = value
        try:
            items = list(reader(tmp_path, description=changed["top"]).read("train"))
        except (ConfigError, DataError) as error:
            assert len(str(error)) < 4000 and len(str(error).splitlines()) == 1
            assert not NAMES_OF_PYDANTIC.search(str(error)), error
        else:
            assert all(isinstance(item, Record | Reject) for item in items)


def test_prose_in_several_lines_becomes_one(tmp_path):
    own(tmp_path, licence="ask\nfirst\n")
    assert reader(tmp_path).licence == "ask first"
    own(tmp_path, images="pho\ntos")
    with pytest.raises(ConfigError, match="without control characters"):
        reader(tmp_path)


@pytest.mark.parametrize("key", ["labels", "image", "box", "attributes", "landmarks"])
def test_a_description_that_unfolds_to_billions_is_refused_in_few_words(tmp_path, key):
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    pub.put(tmp_path / "mine.yaml", f"{text}{key}: *a9\n")
    with pytest.raises(ConfigError) as caught:
        reader(tmp_path)
    assert len(str(caught.value)) < 4000


def test_a_missing_description_or_column(tmp_path):
    own(tmp_path, age="yeras")
    with pytest.raises(DataError, match="found no yeras"):
        list(reader(tmp_path).read("train"))
    with pytest.raises(ConfigError, match=r"other\.yaml"):
        reader(tmp_path, description="other.yaml")
    with pytest.raises(ConfigError, match="description: missing"):
        Generic(tmp_path)


@pytest.mark.parametrize("linked", ["about/mine.yaml", "about"])
def test_a_description_is_not_read_through_a_link_out_of_the_folder(tmp_path, linked):
    root, away = own(tmp_path / "set"), tmp_path / "away"
    (root / "about").mkdir()
    (root / "mine.yaml").rename(root / "about/mine.yaml")
    (root / linked).rename(away)
    (root / linked).symlink_to(away)
    with pytest.raises(DataError, match="leads outside the data set's folder"):
        reader(root, description="about/mine.yaml")
    mine = away if away.is_file() else away / "mine.yaml"
    assert list(reader(root, description=str(mine)).read("test"))  # a path that the user names


def test_masks_poses_and_identities(tmp_path):
    pub.put(tmp_path / "labels.csv", "file,mask,part,x,y,w,h,angles,who\na.jpg,a.png,train,3,4,20,22,1.5 -20 3,7\n")
    mask = np.zeros((40, 30), np.uint8)
    mask[10:20, 5:25] = 2
    pub.put(tmp_path / "a.jpg", pub.jpg(0, 40, 30))
    pub.put(tmp_path / "masks/a.png", pub.png(mask))
    description = {
        "labels": "labels.csv", "image": "file", "split": "part", "box": ["x", "y", "w", "h"], "box_form": "size",
        "mask": {"column": "mask", "folder": "masks", "classes": ["background", "left", "right"], "flip": [[1, 2]]},
        "pose": "angles", "identity": "who",
    }  # fmt: skip
    source = reader(tmp_path, description=description)
    (record,) = source.read("train")
    np.testing.assert_array_equal(record.box, [3, 4, 23, 26])
    np.testing.assert_array_equal(record.mask, mask)
    assert record.pose.tolist() == [1.5, -20, 3] and record.identity == 7
    specs = {spec.kind: spec for spec in specs_of("mine", source, like="generic")}
    assert set(specs) == {"parsing", "pose", "recognition"}
    mirrored = KINDS["parsing"].mirrored(specs["parsing"], {"mask": mask})["mask"]
    assert mirrored[12, 12] == 1 and mirrored[0, 0] == 0
    with pytest.raises(DataError, match=r"pairs\.bin"):
        reader(tmp_path, description=description, verification=["pairs"]).verification()
