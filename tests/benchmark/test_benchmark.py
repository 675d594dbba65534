"""`faceptor bench` at toy size: the form of what it finds and what must hold of any numbers; no speed."""

import json
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceptor.analysis import bench_figures, bench_tables, markdown
from faceptor.analysis.bench_targets import TARGETS, Target
from faceptor.benchmark.bench import Bench
from faceptor.benchmark.growth import many
from faceptor.benchmark.material import DrawnFaces
from faceptor.benchmark.sections import DEFAULT, run
from faceptor.benchmark.stages import stage_times
from faceptor.benchmark.subjects import Asked, by_the_formula, model_of, part_calls
from faceptor.benchmark.timing import COVERAGE, Estimate, Times, dropped, paired
from faceptor.errors import DataError, FaceptorError
from faceptor.models.textbook import task_by_task
from faceptor.pipeline.experiment import preset
from faceptor.tasks import KINDS, kind_of
from faceptor.transforms.crop import CropSpec

QUICK = Bench(torch.device("cpu"), rounds=3, seconds=0, quick=True, say=lambda line: None)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Every section but `stages`, and the folder that it was written to."""
    folder = tmp_path_factory.mktemp("bench") / "results" / "bench"
    return run(QUICK, DEFAULT, folder=folder), folder


def estimates(node):
    """Every estimate below a JSON value."""
    if isinstance(node, dict) and {"median", "low", "high"} <= node.keys():
        yield node
    elif isinstance(node, dict | list):
        yield from chain(*map(estimates, node.values() if isinstance(node, dict) else node))


# --- estimates -------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40))
def test_an_interval_holds_its_median(values):
    found = Estimate.of(values)
    assert min(values) <= found.low <= found.median <= found.high <= max(values)
    assert found.rounds == len(values)


def test_an_interval_covers_what_it_says():
    draw = torch.Generator().manual_seed(1)
    for count in (6, 9, 20):
        rounds = torch.rand(4000, count, generator=draw).sort(dim=1).values
        out = dropped(count)
        held = (rounds[:, out] <= 0.5) & (rounds[:, count - 1 - out] >= 0.5)
        assert held.float().mean() >= COVERAGE - 0.01
    assert dropped(9) == 1 and dropped(3) == 0


def test_ratios_are_taken_round_by_round():
    times = Times({"slow": [2.0, 20.0, 200.0], "quick": [1.0, 10.0, 100.0]})
    assert times.ratio("slow", "quick") == Estimate(2.0, 2.0, 2.0, 3)
    assert times.rate("quick", 50).high == 50.0


def test_rounds_begin_with_another_subject_each_and_end_in_time():
    called = []
    times = paired({name: lambda name=name: called.append(name) for name in "ab"}, rounds=50, seconds=0)
    assert [len(each) for each in times.seconds.values()] == [3, 3]
    order = [name for at, name in enumerate(called) if at == 0 or called[at - 1] != name]
    assert "".join(order) == "ababab"  # not counted: a, b; then a, b; b, a; a, b


# --- what is measured ------------------------------------------------------------------------------------------------


def test_every_way_to_ask_gives_the_same_answers():
    experiment = preset("embedded")
    model = model_of(experiment, experiment.joint_specs, torch.device("cpu"))
    asked = Asked.of(model, batch=2)
    together = asked.together()
    with by_the_formula(model), torch.inference_mode():
        formula = asked.together()
    with task_by_task(model.decoder):
        apart = asked.together()
    for other in (asked.one_by_one(), asked.rows(), formula, apart):
        assert other.keys() == together.keys()
        for task, values in together.items():
            torch.testing.assert_close(other[task], values, atol=2e-4, rtol=1e-3)
    parts = part_calls(asked)
    assert {name: len(parts[name]) for name in ("encoder", "decoder", "pixel_decoder")} == {
        "encoder": 2, "decoder": 2, "pixel_decoder": 1,  # maps are drawn at one of the two sizes
    }  # fmt: skip


def test_many_tasks_have_names_of_their_own():
    specs = preset("embedded").joint_specs
    found = many(specs, 20)
    assert len({spec.name for spec in found}) == 20 and [*found[: len(specs)]] == [*specs]


@pytest.mark.parametrize("name", ["full", "facexformer"])
def test_drawn_faces_teach_every_task(name):
    """Their targets are what the kinds make of any prepared sample."""
    for spec in preset(name).joint_specs:
        faces = DrawnFaces(spec, count=4, identities=3)
        crop = CropSpec(kind="box", size=32, scale=0.8).place_sample(faces[1])
        target = KINDS[spec.kind].target(spec, faces[1], crop)
        assert target and kind_of(spec).columns[0] in faces[1]


# --- what is written and shown ---------------------------------------------------------------------------------------


def test_sections_find_positive_numbers_within_their_intervals(measured):
    found, folder = measured
    assert tuple(found["sections"]) == DEFAULT and found["toy"]
    for name, section in found["sections"].items():
        seen = [*estimates(section)]
        assert seen and section["rows"], name
        for each in seen:
            assert 0 < each["low"] <= each["median"] <= each["high"], (name, each)
    (path,) = folder.iterdir()
    assert json.loads(path.read_text()) == found and path.stem == found["machine"]["kind"]


def test_a_file_tells_nothing_of_the_place(measured):
    import platform

    text = next(measured[1].iterdir()).read_text()
    assert str(measured[1]) not in text and platform.node() not in text


def test_targets_name_what_is_measured(measured):
    """With the preset's name put in, each ratio of a target is one that its section writes."""
    found = measured[0]
    sizes = {"512 px": "96 px", "24 tasks": "7 tasks", "base": "embedded"}
    measurable = [each for each in TARGETS if not each.gpu and ("bf16" in QUICK.precisions or "bf16" not in each.ratio)]
    for target in measurable:
        name = target.ratio
        for full, toy in sizes.items():
            name = name.replace(full, toy)
        assert name in found["sections"][target.section]["ratios"], name


def test_a_section_keeps_the_others(measured, tmp_path):
    found = measured[0]
    path = tmp_path / f"{found['machine']['kind']}.json"
    by_gpu_check = {"rows": [], "ratios": {}, "facts": {"kernels": 7}}
    path.write_text(json.dumps(found | {"sections": found["sections"] | {"gpu": by_gpu_check}}))
    again = run(QUICK, ["photo"], folder=tmp_path)
    assert again["sections"]["growth"] == found["sections"]["growth"] and again["sections"]["gpu"] == by_gpu_check
    with pytest.raises(FaceptorError, match="unknown"):
        run(QUICK, ["speed"], folder=None)
    with pytest.raises(FaceptorError, match="steps"):
        run(QUICK, ["cost"], folder=None)


def test_tables_figures_and_sentences(measured):
    root = measured[1].parents[1]
    found = bench_tables.load(root)
    for name in DEFAULT:
        assert len(bench_tables.rows(found, name))
    assert markdown.table(bench_tables.targets(found), index=False).data.count("\n") > len(TARGETS) / 2
    for draw in (bench_figures.latency, bench_figures.shares, bench_figures.growth):
        assert draw(found)._repr_png_().startswith(b"\x89PNG")
        assert draw({kind: {"sections": {}} for kind in found})._repr_png_().startswith(b"\x89PNG")
    assert "toy sizes" in "\n".join(bench_tables.summary_lines(next(iter(found.values()))))
    assert "targets" in markdown.sentences(bench_tables.conclusions(found)).data
    with pytest.raises(DataError, match="nowhere"):
        bench_tables.load(root, ["nowhere"])
    with pytest.raises(DataError, match="make bench"):
        bench_tables.load(root / "elsewhere")


@pytest.mark.parametrize(
    ("low", "median", "high", "verdict"),
    [(2.1, 2.2, 2.3, "reached"), (1.0, 1.5, 1.9, "not reached"), (1.9, 2.1, 2.2, "within the spread")],
)
def test_verdicts(low, median, high, verdict):
    target = Target("x", "latency", "ratio", 2.0, at_least=True)
    value = {"low": low, "median": median, "high": high, "rounds": 3}
    for rounds, expected in ((3, verdict), (1, "too few rounds")):
        ratios = {"ratio": value | {"rounds": rounds}}
        assert target.verdict({"sections": {"latency": {"ratios": ratios}}}) == expected
    assert target.verdict({"sections": {}}) == "not measured"


def test_stage_times_of_a_log():
    lines = ["train_stage1: done after 310 s", "report_data: done after 9 s", "x: failed after 2 s", "step 3/4"]
    assert stage_times(lines) == {"train_stage1": 310, "report_data": 9}


# --- the check on a GPU ----------------------------------------------------------------------------------------------


def test_gpu_check_goes_on_after_a_failing_section(tmp_path, monkeypatch, capsys):
    from faceptor.benchmark import gpu
    from tools import gpu_check

    def broken(bench, found):
        raise RuntimeError("no such kernel")

    sections = {name: gpu.SECTIONS[name] for name in ("face", "step")}
    monkeypatch.setattr(gpu, "SECTIONS", {"product": broken, **sections})
    monkeypatch.setattr(Asked, "compiled", lambda asked, *_: asked.rows)  # tracing takes half a minute
    code = gpu_check.main(["--cpu-dry-run", "--out", str(tmp_path), "--seconds", "0"])
    told = capsys.readouterr().out
    assert code == 1 and "failed: product (RuntimeError: no such kernel)" in told
    written = json.loads(next(tmp_path.iterdir()).read_text())["sections"]["gpu"]["ratios"]
    assert {"one face, eager, fp32, ms", "training step, ms", "step / matrix product"} <= written.keys()
    assert all(0 < each["low"] <= each["median"] <= each["high"] for each in written.values())
