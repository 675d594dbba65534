"""Folders, videos, results that grow: what is looked at, what is written, how a run that was stopped goes on."""

import csv
import gc
import json
import shutil
import sys
import tracemalloc
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from faceptor.cli import predict as predict_cli
from faceptor.cli.progress import line
from faceptor.errors import ConfigError, DataError
from faceptor.predict import job as jobs
from faceptor.predict import parquet, results, sheet, stream, table
from faceptor.predict.folder import sources
from faceptor.predict.job import Job, run
from faceptor.predict.many import Answer
from faceptor.predict.predictor import Face, NoFaceError
from faceptor.predict.video import Every, count_frames, frames, parse_every
from faceptor.tasks import TASKS
from faceptor.tasks.age import AgePrediction
from faceptor.tasks.classification import ClassPrediction
from faceptor.tasks.landmarks import LandmarksPrediction
from faceptor.tasks.parsing import ParsingPrediction
from tests.command import entered
from tests.test_docs import blocks, text_of

SPECS = {name: TASKS[name] for name in ("landmarks_300w", "parsing_lapa", "age_morph2", "expression_rafdb")}


class Network:
    """As much of a model as a job asks for."""

    tasks = SPECS

    def choose_tasks(self, tasks):
        return list(tasks or SPECS)


def face(pixels, tasks=None):
    """A face whose answers follow from the mean brightness."""
    level, side = float(pixels.mean()), min(pixels.shape[:2])
    found = {
        "landmarks_300w": LandmarksPrediction(np.full((68, 2), level / 8), np.full(68, 0.5)),
        "parsing_lapa": ParsingPrediction(np.zeros(pixels.shape[:2], np.uint8)),
        "age_morph2": AgePrediction(level, np.full(101, 1 / 101)),
        "expression_rafdb": ClassPrediction(int(level) % 7, np.full(7, 1 / 7)),
    }
    chosen = {name: found[name] for name in tasks or found}
    return Face(np.array([0.0, 0, side, side]), 0.9, chosen, specs=SPECS)


@pytest.fixture
def stub(monkeypatch):
    """Answers without a network: as many faces as the red of the first pixel says; a list of what was asked."""
    asked = []

    def answer_photos(network, questions, *, tasks, **_):
        for question in questions:
            try:
                photo = question.photo()
            except DataError as error:
                yield Answer(question, error=error)
                continue
            if photo is None:
                yield Answer(question)
                continue
            asked.append(question.name)
            faces = [face(photo.pixels, tasks)] * (int(photo.pixels[0, 0, 0]) // 40)
            yield Answer(question, photo, faces=faces, error=None if faces else NoFaceError("no face found"))

    monkeypatch.setattr(stream, "answer_photos", answer_photos)
    monkeypatch.setattr(jobs, "answer_image", lambda network, rgb, *, boxes, tasks, **_: [face(rgb, tasks)])
    return asked


def picture(path, level: int, faces: int = 1, side: int = 24) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((side, side, 3), level, np.uint8)
    pixels[0, 0, 0] = 40 * faces
    Image.fromarray(pixels).save(path)
    return path


def video(path, count: int = 30, *, rate: int = 10, rotation: int = 0) -> Path:
    """Grey frames with a red top."""
    with av.open(str(path), "w") as container:
        made = container.add_stream("mpeg4", rate=rate)
        made.width, made.height, made.pix_fmt = 64, 48, "yuv420p"
        if rotation:
            made.set_display_rotation(rotation)
        for _ in range(count):
            pixels = np.full((48, 64, 3), 60, np.uint8)
            pixels[:16] = (250, 0, 0)
            container.mux(made.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(made.encode())
    return path


@pytest.fixture
def holiday(tmp_path):
    """Five photographs, one of them damaged, one without a face, one with three."""
    for name, level, count in (("b.png", 10, 1), ("a/x.png", 20, 3), ("a/none.png", 30, 0), ("c.png", 40, 1)):
        picture(tmp_path / "in" / name, level, count)
    (tmp_path / "in/bad.jpg").write_bytes(b"no picture")
    return tmp_path / "in"


def job(given, out, form, **options):
    out.mkdir(exist_ok=True)
    given = [given] if isinstance(given, Path) else given
    return Job(given, out, form, {"folder": "toy", "hash": "1" * 64}, **options)


# --- what is looked at -----------------------------------------------------------------------------------------------


def test_a_folder_is_everything_below_it_in_order(tmp_path):
    for name in ("b.JPG", "a/2.png", "a/10.png", ".hidden.jpg", ".git/x.jpg", "notes.txt", "out/a.png", "c.mp4"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "in/again").symlink_to(tmp_path / "in")  # a circle
    top = tmp_path / "in"
    found = list(sources([top], but=top / "out"))
    assert [source.path.relative_to(top).as_posix() for source in found] == ["a/10.png", "a/2.png", "b.JPG", "c.mp4"]
    assert [source.video for source in found] == [False, False, False, True]
    chosen = sources([top], ["a/*.png", "*.txt"], but=top / "out")
    assert [source.path.name for source in chosen] == ["10.png", "2.png", "notes.txt"]
    (nothing,) = sources([top], ["*.webp"])
    assert "*.webp" in nothing.trouble and str(top) in nothing.trouble


def test_a_folder_is_not_listed_as_a_whole(tmp_path):
    """The first file comes before the other folders were read."""
    for name in ("a", "b"):
        picture(tmp_path / name / "x.png", 1)
    found = sources([tmp_path])
    next(found)
    (tmp_path / "b/x.png").unlink()
    assert [*found] == []


@pytest.mark.parametrize(("text", "every"), [("25", Every(25)), (".5s", Every(1, 0.5)), ("2s", Every(1, 2))])
def test_which_frames(text, every):
    assert parse_every(text) == every


@pytest.mark.parametrize("text", ["0", "-1", "0s", "1.5", "s", "1m", ""])
def test_no_such_frames(text):
    with pytest.raises(ConfigError, match="--every"):
        parse_every(text)


def test_frames_have_their_number_and_time(tmp_path):
    path = video(tmp_path / "v.mp4", 30, rate=10)
    assert [(frame.number, frame.seconds) for frame in frames(path, Every(10))] == [(0, 0.0), (10, 1.0), (20, 2.0)]
    halves = [(frame.number, frame.seconds) for frame in frames(path, Every(seconds=0.75))]
    assert halves == [(0, 0.0), (8, 0.8), (15, 1.5), (23, 2.3)]  # the first at or behind each multiple
    assert count_frames(path, Every(10)) == 3 and count_frames(path, Every(seconds=0.75)) == 4


@pytest.mark.parametrize(("rotation", "red"), [(0, np.s_[:8, :]), (90, np.s_[:, :8]), (-90, np.s_[:, -8:])])
def test_frames_are_upright(tmp_path, rotation, red):
    """A phone writes how a video is to be turned; `rotation` is against the clock."""
    pixels = next(frames(video(tmp_path / "v.mp4", 2, rotation=rotation), Every())).pixels()
    assert pixels[red][..., 0].mean() > 200 and pixels[..., 0].mean() < 150


def test_damage_costs_the_damaged_frames_alone(tmp_path):
    data = bytearray(video(tmp_path / "v.mp4", 60).read_bytes())
    data[len(data) // 3 : len(data) // 3 + 200] = b"\xff" * 200
    (tmp_path / "damaged.mp4").write_bytes(data)
    seen = []
    with pytest.raises(DataError, match=r"damaged\.mp4: \d+ damaged"):
        seen.extend(frame.number for frame in frames(tmp_path / "damaged.mp4", Every()))
    assert 30 < len(seen) < 60


@pytest.mark.parametrize("text", ["no video", "", "#EXTM3U\n#EXTINF:1,\nv.mp4\n", "ffconcat version 1.0\nfile v.mp4\n"])
def test_what_is_no_video(tmp_path, text):
    """Lists of other files neither: a video opens nothing but itself."""
    video(tmp_path / "v.mp4", 2)
    (tmp_path / "x.mp4").write_text(text)
    with pytest.raises(DataError, match=r"x\.mp4: expected a video"):
        next(frames(tmp_path / "x.mp4", Every()))


def test_without_pyav_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"faceptor\[video\]"):
        predict_cli.check_options([tmp_path / "v.mp4"], None, None, "png", "1")
    assert predict_cli.check_options([tmp_path / "v.jpg"], None, None, "png", "1") == "json"


# --- results ---------------------------------------------------------------------------------------------------------


def content(out: Path, form: str):
    path = out / f"faces.{form}"
    return pq.read_table(path).to_pylist() if form == "parquet" else path.read_bytes()


@pytest.mark.parametrize("form", results.FORMATS)
@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
def test_an_interrupted_run_goes_on_and_ends_the_same(stub, holiday, tmp_path, form, after):
    given = [holiday, video(tmp_path / "v.mp4", 3)]
    whole = list(run(Network(), job(given, tmp_path / "whole", form)))
    assert len(whole) == 8
    stopped = run(Network(), job(given, tmp_path / "out", form))
    list(islice(stopped, after))
    stopped.close()  # as Ctrl-C does
    stub.clear()
    rest = list(run(Network(), job(given, tmp_path / "out", form)))
    assert content(tmp_path / "out", form) == content(tmp_path / "whole", form)
    assert sum("answered" in report for report in rest) == after
    assert len(stub) == 7 - min(after, 3)  # the fourth is damaged, and never gets as far as the network
    stub.clear()
    list(run(Network(), job(given, tmp_path / "out", form)))
    assert stub == [] and content(tmp_path / "out", form) == content(tmp_path / "whole", form)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_killed_run_leaves_whole_records(stub, holiday, tmp_path, form):
    """Wherever the file ends, within a line or between the three rows of one photograph."""
    list(run(Network(), job(holiday, tmp_path / "out", form)))
    path = tmp_path / "out" / f"faces.{form}"
    whole = path.read_bytes()
    head = whole.index(b"\n") + 1 if form == "csv" else 0
    for end in np.linspace(0, len(whole), 23).astype(int):
        path.write_bytes(whole[:end])
        list(run(Network(), job(holiday, tmp_path / "out", form)))
        assert path.read_bytes() == whole, (end, head)


def test_a_killed_parquet_run_leaves_parts_that_can_be_read(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "PART_ROWS", 4)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 5)
    for number in range(13):
        picture(tmp_path / f"in/{number:02d}.png", number)
    running = run(Network(), job(tmp_path / "in", tmp_path / "out", "parquet"))
    list(islice(running, 10))
    shutil.copytree(tmp_path / "out", tmp_path / "killed")  # what is on the disk, with nothing closed
    running.close()
    parts = tmp_path / "killed/faces.parquet.parts"
    assert pq.read_table(parts).num_rows == 8
    list(run(Network(), job(tmp_path / "in", tmp_path / "killed", "parquet")))
    with pq.ParquetFile(tmp_path / "killed/faces.parquet") as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [5, 5, 3]
        assert file.read().column("age_morph2 [years]").to_pylist() == pytest.approx(list(range(13)), abs=1)
    assert not parts.exists()


def test_more_photographs_come_behind_those_answered(stub, holiday, tmp_path):
    for form in results.FORMATS:
        list(run(Network(), job(holiday, tmp_path / form, form)))
    picture(holiday / "a/0.png", 90)
    for form in results.FORMATS:
        stub.clear()
        list(run(Network(), job(holiday, tmp_path / form, form)))
        assert [Path(name).name for name in stub] == ["0.png"]
    rows = pq.read_table(tmp_path / "parquet/faces.parquet").to_pylist()
    assert rows[-1]["file"].endswith("a/0.png") and len(rows) == 8


def test_a_photograph_that_changed_is_answered_again(stub, holiday, tmp_path):
    list(run(Network(), job(holiday, tmp_path / "out", "jsonl")))
    picture(holiday / "c.png", 99)
    stub.clear()
    list(run(Network(), job(holiday, tmp_path / "out", "jsonl")))
    assert [Path(name).name for name in stub] == ["c.png"]


@pytest.mark.parametrize("options", [{"tasks": ["age_morph2"]}, {"min_score": 0.9}, {"boxes": [(1, 1, 9, 9)]}])
def test_other_settings_are_refused_and_again_replaces(stub, holiday, tmp_path, options):
    list(run(Network(), job(holiday, tmp_path / "out", "csv")))
    with pytest.raises(ConfigError, match=rf"{next(iter(options))}.*--again"):
        list(run(Network(), job(holiday, tmp_path / "out", "csv", **options)))
    list(run(Network(), job(holiday, tmp_path / "out", "csv", again=True, **options)))
    list(run(Network(), job(holiday, tmp_path / "new", "csv", **options)))
    assert content(tmp_path / "out", "csv") == content(tmp_path / "new", "csv")


def test_two_runs_do_not_write_one_file(stub, holiday, tmp_path):
    first = run(Network(), job(holiday, tmp_path / "out", "jsonl"))
    next(first)
    with pytest.raises(DataError, match="another process"):
        next(run(Network(), job(holiday, tmp_path / "out", "jsonl")))
    first.close()


def test_a_file_that_is_none_of_ours_is_kept(stub, holiday, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/faces.csv").write_text("mine")
    with pytest.raises(ConfigError, match="--again"):
        next(run(Network(), job(holiday, tmp_path / "out", "csv")))
    assert (tmp_path / "out/faces.csv").read_text() == "mine"


@pytest.mark.parametrize("row", [b"\r\n", b"a.jpg\r\n", b"a.jpg,,,many\r\n", b"\xff\xfe,,,1\r\n"])
def test_a_row_that_is_no_answer_is_named(stub, holiday, tmp_path, row):
    list(run(Network(), job(holiday, tmp_path / "out", "csv")))
    file = tmp_path / "out/faces.csv"
    rows = len(list(csv.reader(file.open(encoding="utf-8-sig", newline=""))))
    file.write_bytes(file.read_bytes() + row)
    with pytest.raises(DataError, match=rf"faces\.csv: row {rows + 1} is no answer; .*--again"):
        list(run(Network(), job(holiday, tmp_path / "out", "csv")))


def test_the_folder_looked_at_is_not_filled(stub, holiday):
    with pytest.raises(ConfigError, match="another folder"):
        next(run(Network(), job(holiday, holiday, "jsonl")))


# --- the table -------------------------------------------------------------------------------------------------------


def test_a_row_for_each_face_with_units_in_the_headings(stub, holiday, tmp_path):
    list(run(Network(), job([holiday, video(tmp_path / "v.mp4", 3)], tmp_path / "out", "csv", every=Every(2))))
    text = (tmp_path / "out/faces.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert [Path(row["file"]).name for row in rows] == [
        "none.png", *3 * ["x.png"], "b.png", "bad.jpg", "c.png", *6 * ["v.mp4"], *6 * ["v.mp4"],
    ]  # fmt: skip
    assert [row["face"] for row in rows[:6]] == ["", "1", "2", "3", "1", ""]
    assert rows[0]["faces"] == "0" and not rows[0]["error"] and rows[5]["error"]
    assert float(rows[4]["age_morph2 [years]"]) == pytest.approx(10, abs=0.1) and rows[4]["x2 [px]"] == "24"
    assert rows[4]["expression_rafdb.label"] in SPECS["expression_rafdb"].labels
    assert float(rows[4]["expression_rafdb.happy [probability]"]) == pytest.approx(1 / 7, abs=1e-5)
    assert [rows[-1][name] for name in ("frame", "seconds")] == ["2", "0.2"]
    assert not any("jaw" in name for name in rows[0])  # 136 columns that nobody reads


def test_which_columns():
    pixels = np.full((24, 24, 3), 7, np.uint8)
    columns = table.columns_of(stream.face_record(face(pixels))["tasks"])
    everything = [heading for column in table.chosen(columns, "all") for heading in column.headings]
    assert len(set(everything)) == len(everything) == 3 * 68 + 11 + 1 + 101 + 1 + 7
    some = {"landmarks_300w.jaw_0.x [px]", "parsing_lapa.hair [share]", "age_morph2.distribution.30 [probability]"}
    assert some <= set(everything)
    some = table.chosen(columns, "age_morph2, landmarks_300w.jaw_1*.y")
    assert [column.headings for column in some[:1]] == [[f"landmarks_300w.jaw_{i}.y [px]" for i in (1, *range(10, 17))]]
    assert some[0].value(stream.face_record(face(pixels))["tasks"]) == [7 / 8] * 8
    assert [column.heading for column in some[1:]] == ["age_morph2 [years]"]
    with pytest.raises(ConfigError, match=r"agee.*age_morph2 \[years\]"):
        table.chosen(columns, "agee*")


def test_points_are_lists_in_parquet(stub, holiday, tmp_path):
    list(run(Network(), job(holiday, tmp_path / "out", "parquet", columns="all")))
    rows = pq.read_table(tmp_path / "out/faces.parquet").to_pylist()
    assert rows[4]["landmarks_300w.x [px]"] == pytest.approx([rows[4]["age_morph2 [years]"] / 8] * 68)
    assert rows[0]["landmarks_300w.x [px]"] is None


def test_a_name_is_no_formula(stub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(Path("=1+1.png"), 5)
    for _ in range(2):
        list(run(Network(), job(Path("=1+1.png"), tmp_path / "out", "csv")))
    rows = list(csv.reader((tmp_path / "out/faces.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [row[0] for row in rows] == ["file", "./=1+1.png"] and len(stub) == 1


def test_lines_are_the_answers_without_class_maps(stub, holiday, tmp_path):
    list(run(Network(), job(holiday, tmp_path / "out", "jsonl")))
    told = [json.loads(line) for line in (tmp_path / "out/faces.jsonl").read_text().splitlines()]
    assert [len(one.get("faces", ())) for one in told] == [0, 3, 1, 0, 1] and "error" in told[3]
    assert set(told[2]["faces"][0]["tasks"]) == set(SPECS)
    assert "runs" not in told[2]["faces"][0]["tasks"]["parsing_lapa"]


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [*results.FORMATS, "json", "video"])
def test_memory_is_flat(stub, tmp_path, monkeypatch, form):
    """Neither pictures nor answers are kept: after 30 and after 90 of them as much is held."""
    monkeypatch.setattr(parquet, "PART_ROWS", 20)
    monkeypatch.setattr(sheet, "ROWS", 1)
    many = 90
    if form == "video":
        given, form = video(tmp_path / "v.mp4", many), "jsonl"
    else:
        given = tmp_path / "in"
        for number in range(many):
            picture(given / f"{number:04d}.png", number, side=64)
    held, live = [], []
    gc.freeze()  # what was there before is looked through no more
    tracemalloc.start()
    try:
        asked = job(given, tmp_path / "out", form, picture=None, tasks=["landmarks_300w"])
        for done, _ in enumerate(run(Network(), asked), start=1):
            stub.clear()
            if done in (30, many):
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
                live.append(sum(type(thing) in (stream.Item, Face) for thing in gc.get_objects()))
    finally:
        tracemalloc.stop()
        gc.unfreeze()
    assert done == many and max(live) < 6
    assert held[1] - held[0] < 250_000, held  # pixels alone would be 737,000


# --- pictures --------------------------------------------------------------------------------------------------------


def test_sheets_are_pages_of_one_size(stub, tmp_path):
    for number in range(30):
        picture(tmp_path / f"in/{number:02d}.png", number, side=40)
    list(run(Network(), job(tmp_path / "in", tmp_path / "out", "jsonl", sheet=True)))
    sizes = [Image.open(path).size for path in sorted((tmp_path / "out").glob("sheet-*.png"))]
    assert len(sizes) == 2 and sizes[0][0] == sizes[1][0] and max(sizes[0]) < 2200


# --- the command -----------------------------------------------------------------------------------------------------


def test_every_command_of_the_page_runs(stub, tmp_path, monkeypatch, capsys):
    """As it is written, in a folder with the files that it names."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "party.jpg", "holiday/1.jpg", "holiday/2.png", "holiday/rome/3.jpg"):
        picture(Path(name), 50, 3 if "party" in name else 1, side=60)
    video(Path("talk.mp4"), 30)
    monkeypatch.setattr(predict_cli, "load", lambda *_: (Network(), {"folder": "toy", "hash": "1" * 64}))
    monkeypatch.setattr(predict_cli, "check_names", lambda *_: None)
    commands = [line for block in blocks(text_of("docs/predict.md"), "") for line in block.splitlines()]
    commands = [line.partition("  #")[0].split() for line in commands if line.startswith("faceptor ")]
    assert len(commands) >= 8
    for words in commands:
        assert entered(*(word.strip("'") for word in words[1:])) == 0, (words, capsys.readouterr())
    written = {path.name for path in tmp_path.rglob("*") if "answers" in path.as_posix()}
    assert {"faces.jsonl", "faces.csv", "faces.parquet", "photo.json", "photo.png", "sheet-0001.png"} <= written


def test_where_nothing_is_there_nothing_is_loaded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predict_cli, "load", lambda *_: pytest.fail("a network was loaded"))
    assert entered("predict", "gone.jpg", "too.jpg", "--out", "o") == 1
    told = capsys.readouterr().err
    assert "error: gone.jpg: not found" in told and "error: too.jpg: not found" in told and not Path("o").exists()


def test_progress_says_how_long_it_takes():
    assert line(120, 1000, 30.0, "photographs") == "120 of 1,000 photographs, 4.0/s, about 3 min 40 s left"
    assert line(3, None, 1.5, "frames") == "3 frames, 2.0/s"
