"""A table of labels in the forms that spreadsheets, other systems and other people's programs give it."""

import unicodedata

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from faceptor.datasets import READERS
from faceptor.datasets.reader import Record
from faceptor.datasets.readers.generic import Generic
from faceptor.errors import DataError
from tests.datasets import published as pub

MOODS = ("calm", "cheerful", "cross")
DESCRIPTION = {
    "labels": "labels.csv", "images": "photos", "image": "file", "split": "part", "age": "years",
    "expression": {"column": "mood", "classes": list(MOODS)}, "attributes": ["glasses", "hat"],
}  # fmt: skip
HEADER = ["file", "part", "years", "mood", "glasses", "hat", "note"]
FACES = 8


def row(i, **changes):
    plain = {"file": f"a{i}.jpg", "part": "test" if i >= 6 else "train", "years": f"{20 + i}", "mood": MOODS[i % 3],
             "glasses": f"{i % 2}", "hat": "0", "note": ""}  # fmt: skip
    return [str(changes[name](i)) if name in changes else value for name, value in plain.items()]


def table(separator=",", end="\n", **changes):
    return "".join(separator.join(cells) + end for cells in (HEADER, *(row(i, **changes) for i in range(FACES))))


def read(tmp_path, content, *, names=lambda i: f"a{i}.jpg", **description):
    """{face number: (split, age, mood, glasses)} of the usable rows, and the reasons of the others."""
    for i in range(FACES):
        pub.put(tmp_path / "photos" / names(i), b"picture")
    if content is not None:
        pub.put(tmp_path / "labels.csv", content)
    reader, found, reasons = Generic(tmp_path, description=DESCRIPTION | description), {}, []
    for split in ("train", "test"):
        for item in reader.read(split):
            if not isinstance(item, Record):
                reasons.append(item.reason)
                continue
            digits = "".join(c for c in item.key.rpartition("/")[2].rpartition("\\")[2] if c.isdigit())
            found[int(digits)] = (item.split, item.age, MOODS[item.expression], int(item.attributes[0]))
    return found, reasons


RIGHT = {i: ("test" if i >= 6 else "train", 20.0 + i, MOODS[i % 3], i % 2) for i in range(FACES)}
ACCENT = "é{}.jpg".format

UNDERSTOOD = {
    "plain": table(),
    "line ends of Windows": table(end="\r\n"),
    "line ends of old Macs": table(end="\r"),
    "UTF-8 with its mark": "\ufeff" + table(),
    "UTF-16": table().encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + table(end="\r\n").encode("utf-16-be"),
    "semicolons": table(";"),
    "tabs": table("\t"),
    "semicolons in UTF-16": table(";").encode("utf-16"),
    "numbers of classes": table(mood=lambda i: i % 3),
    "numbers of classes as a spreadsheet writes them": table(mood=lambda i: f"{i % 3}.0"),
    "attributes as a spreadsheet writes them": table(glasses=lambda i: f"{i % 2}.0"),
    "attributes as True and False": table(glasses=lambda i: bool(i % 2)),
    "classes in other cases": table(mood=lambda i: (str.title, str.upper, str.lower)[i % 3](MOODS[i % 3])),
    "classes with spaces": table(mood=lambda i: f" {MOODS[i % 3]} "),
    "line breaks in quotes": table(note=lambda i: '"first\nsecond, with a comma"' if i % 2 else ""),
    "line breaks in every row": table(note=lambda i: '"first\n\nthird ""quoted"" line"'),
    "commas and quotes in quotes": table(note=lambda i: '"a, b ""c"""'),
    "names from here": table(file=lambda i: f"./a{i}.jpg"),
    "names from the folder above": table(file=lambda i: f"photos/a{i}.jpg"),
    "names without extension": table(file=lambda i: f"a{i}"),
    "names with a space behind": table(file=lambda i: f"a{i}.jpg "),
    "ages as a spreadsheet writes them": table(years=lambda i: f"{20 + i}.0"),
    "a comma at the end": table(end=",\n"),
    "splits in other cases": table(part=lambda i: "TEST" if i >= 6 else "Train"),
    "a column of row numbers": "".join(f"{n or ''},{line}\n" for n, line in enumerate(table().splitlines())),
}


@pytest.mark.parametrize("form", UNDERSTOOD)
def test_a_form_that_is_understood_means_the_same(form, tmp_path):
    assert read(tmp_path, UNDERSTOOD[form]) == (RIGHT, [])


NAMES = {
    "separators of Windows": (lambda i: f"sub\\a{i}.jpg", lambda i: f"sub/a{i}.jpg"),
    "composed names of decomposed files": (ACCENT, lambda i: unicodedata.normalize("NFD", ACCENT(i))),
    "decomposed names of composed files": (lambda i: unicodedata.normalize("NFD", ACCENT(i)), ACCENT),
    "extensions in capitals": (lambda i: f"a{i}.jpg", lambda i: f"a{i}.JPG"),
    "extensions with one capital": (lambda i: f"a{i}.jpg", lambda i: f"a{i}.Jpg"),
    "Windows and accents": (lambda i: f"ü\\{ACCENT(i)}", lambda i: unicodedata.normalize("NFD", f"ü/{ACCENT(i)}")),
}


@pytest.mark.parametrize("form", NAMES)
def test_a_file_is_found_under_another_systems_spelling(form, tmp_path):
    said, there = NAMES[form]
    assert read(tmp_path, table(file=said), names=there) == (RIGHT, [])


def test_full_paths_into_the_data_set_are_understood_and_others_are_not(tmp_path):
    inside = tmp_path / "set"
    assert read(inside, table(file=lambda i: inside / f"photos/a{i}.jpg")) == (RIGHT, [])
    pub.put(tmp_path / "secret/a0.jpg", b"x")
    found, reasons = read(inside, table(file=lambda i: tmp_path / f"secret/a{i}.jpg"))
    assert not found and len(reasons) == FACES
    found, reasons = read(inside, table(file=lambda i: f"..\\..\\secret\\a{i}.jpg"))
    assert not found and len(reasons) == FACES


REFUSED = {
    "a column twice": (table().replace(",note", ",years"), "years"),
    "a comment before the header": ("# made by hand\n" + table(), "made by hand"),
    "another separator": (table("|"), "separated by commas"),
    "nothing": ("", "empty"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_a_table_that_cannot_be_read_is_refused_with_its_name_and_what_was_found(form, tmp_path):
    content, said = REFUSED[form]
    with pytest.raises(DataError, match=f"labels.csv.*{said}") as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)


REJECTED = {
    "a decimal comma": (table(years=lambda i: f'"{20 + i},0"'), "years|age"),
    "ranges of ages": (table(years=lambda i: f"{i}-{i + 4}"), "age"),
    "unknown words": (table(glasses=lambda i: "YN"[i % 2]), "glasses"),
    "numbers of splits": (table(part=lambda i: i % 2), "splits"),
    "a class that is missing": (table(mood=lambda i: ""), "expression"),
    "Latin-1": (table(file=ACCENT).encode("latin-1"), "UTF-8"),
    "rows that are too short": (table().replace(",\n", "\n"), "fields"),
}


@pytest.mark.parametrize("form", REJECTED)
def test_a_row_that_means_nothing_is_rejected_with_its_reason(form, tmp_path):
    content, said = REJECTED[form]
    found, reasons = read(tmp_path, content)
    assert not found and len(reasons) == FACES and all(said.split("|")[-1] in reason for reason in reasons)


def test_a_stray_quote_costs_its_own_row(tmp_path):
    lines = table().splitlines()
    lines[3] = lines[3].replace("a2.jpg", '"a2.jpg')
    found, reasons = read(tmp_path, "\n".join(lines) + "\n")
    assert found == {i: right for i, right in RIGHT.items() if i != 2} and len(reasons) == 1


def test_minus_one_for_no_is_noticed(tmp_path):
    read(tmp_path, table(glasses=lambda i: (-1, 1)[i % 2], hat=lambda i: i % 2))
    reader = Generic(tmp_path, description=DESCRIPTION)
    assert list(reader.read("train"))
    (check,) = reader.checks()
    assert check.status == "fail" and "glasses" in check.detail and "hat" not in check.detail
    words = DESCRIPTION | {"attributes": {"columns": ["glasses", "hat"], "no": ["-1", "0"], "unknown": [""]}}
    reader = Generic(tmp_path, description=words)
    assert all(item.attributes.min() >= 0 for item in reader.read("train"))
    assert [check.status for check in reader.checks()] == ["pass"]


# --- parquet --------------------------------------------------------------------------------------------------------


def columns(**changes):
    plain = {
        "file": [f"a{i}.jpg" for i in range(FACES)], "part": ["test" if i >= 6 else "train" for i in range(FACES)],
        "years": [20.0 + i for i in range(FACES)], "mood": [MOODS[i % 3] for i in range(FACES)],
        "glasses": [bool(i % 2) for i in range(FACES)], "hat": [0] * FACES,
    }  # fmt: skip
    return plain | changes


def parquet(tmp_path, table):
    tmp_path.mkdir(exist_ok=True)
    pq.write_table(table, tmp_path / "labels.parquet")
    return read(tmp_path, None, labels="labels.parquet")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mood": [i % 3 for i in range(FACES)]},
        {"mood": [float(i % 3) for i in range(FACES)]},
        {"mood": pa.array([MOODS[i % 3] for i in range(FACES)]).dictionary_encode()},
        {"mood": pa.array([MOODS[i % 3] for i in range(FACES)], pa.large_string())},
        {"file": [f"a{i}.jpg".encode() for i in range(FACES)]},
        {"glasses": [float(i % 2) for i in range(FACES)]},
        {"glasses": ["0.0" if i % 2 == 0 else "1.0" for i in range(FACES)]},
        {"years": pa.array(range(20, 20 + FACES), pa.uint8())},
    ],
)
def test_parquet_of_any_type_that_says_it_means_the_same(changes, tmp_path):
    assert parquet(tmp_path, pa.table(columns(**changes))) == (RIGHT, [])


def test_not_a_number_is_a_missing_class(tmp_path):
    moods = [float("nan"), *(float(i % 3) for i in range(1, FACES))]
    found, reasons = parquet(tmp_path, pa.table(columns(mood=moods)))
    assert found == {i: right for i, right in RIGHT.items() if i} and len(reasons) == 1


@pytest.mark.parametrize("name", ["years", "mood", "file", "part", "glasses"])
def test_a_parquet_column_twice_is_refused_by_name(name, tmp_path):
    plain = pa.table(columns())
    twice = pa.Table.from_arrays([*plain.columns, plain[name]], names=[*plain.column_names, name])
    with pytest.raises(DataError, match=f"labels.parquet.*{name}"):
        parquet(tmp_path, twice)


def test_a_column_twice_that_nobody_asks_for_does_no_harm(tmp_path):
    plain = pa.table(columns())
    twice = pa.Table.from_arrays([*plain.columns, plain["hat"], plain["hat"]], names=[*plain.column_names, "x", "x"])
    assert parquet(tmp_path, twice) == (RIGHT, [])


def test_yes_and_no_are_no_ages(tmp_path):
    found, reasons = parquet(tmp_path, pa.table(columns(years=[bool(i % 2) for i in range(FACES)])))
    assert not found and len(reasons) == FACES and all("age" in reason for reason in reasons)


# --- published tables that went through a spreadsheet ---------------------------------------------------------------

CSV = {"affectnet": "*training.csv", "fairface": "fairface_label_train.csv", "ffhqaging": "ffhq_aging_labels.csv",
       "morph2": "morph_2008*.csv"}  # fmt: skip


@pytest.mark.parametrize("how", ["semicolons", "tabs", "UTF-16"])
@pytest.mark.parametrize("name", CSV)
def test_published_lists_that_were_saved_again_are_read_alike(name, how, tmp_path):
    pub.BUILDERS[name](tmp_path)
    keys = [[item.key for item in READERS[name](tmp_path).read(split)] for split in ("train", "test")]
    (path,) = tmp_path.rglob(CSV[name])
    text = path.read_text()
    if how != "UTF-16" and name == "affectnet" and ";" in text:
        how = "tabs"  # its cells hold semicolons
    path.write_bytes(text.encode("utf-16") if how == "UTF-16" else
                     text.replace(",", {"semicolons": ";", "tabs": "\t"}[how]).encode())  # fmt: skip
    again = [[item.key for item in READERS[name](tmp_path).read(split)] for split in ("train", "test")]
    assert again == keys and any(keys)


@pytest.mark.parametrize("name", CSV)
def test_published_lists_with_a_column_twice_are_refused(name, tmp_path):
    pub.BUILDERS[name](tmp_path)
    (path,) = tmp_path.rglob(CSV[name])
    lines = path.read_text().splitlines()
    column = {"affectnet": "expression", "fairface": "age", "ffhqaging": "gender", "morph2": "age"}[name]
    path.write_text("\n".join([f"{lines[0]},{column}", *(f"{line},1" for line in lines[1:])]) + "\n")
    with pytest.raises(DataError, match=column):
        list(READERS[name](tmp_path).read("train"))
