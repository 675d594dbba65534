"""Every preset runs to its end: each command that DVC would run for it, in DVC's order, on a few generated faces."""

import math
import shutil
from functools import cache, partial
from pathlib import Path

import matplotlib.pyplot as plt
import networkx
import numpy as np
import pytest
import yaml
from dvc.repo import Repo
from filelock import FileLock
from matplotlib.figure import Figure

from faceptor.analysis import paper_results
from faceptor.config import Params, load_params, preset_names
from faceptor.io.files import read_json
from faceptor.pipeline import face_search
from faceptor.pipeline.notebooks import section_of
from faceptor.predict import framing
from faceptor.predict.detector import Detection
from faceptor.synthesis.writers import layout as layouts
from faceptor.tasks import intervals, metric, task
from tests import rehearsal
from tests.cells import run_cells
from tests.command import entered

ROOT = Path(__file__).parents[1]
DRAWS = 100  # of test faces, for an interval
printed_by_column = cache(paper_results.by_column)  # the papers' numbers are the same for every preset
# Notebooks that show all presets at their full size, or compare more faces than there are here: tests/analysis.
RUN_ELSEWHERE = ("report_parameter_budget", "report_failure_cases", "report_robustness")


@pytest.fixture(scope="session")
def raw(tmp_path_factory):
    """The data sets of all presets for real data, made once for all processes of the test run."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if base.name.startswith("popen-") else base) / "rehearsal"
    root.mkdir(exist_ok=True)
    for name, path in rehearsal.paths_of_presets().items():
        with FileLock(root / f"{name}.lock"):
            if not (root / "data" / path).exists():
                rehearsal.write_set(name, root / "data" / path)
    return root / "data"


def commands() -> list[tuple[str, list[str], list[Path]]]:
    """(stage, words after `python -m`, what it must leave) of the pipeline of the current folder, in order."""
    with Repo() as repo:
        order = networkx.dfs_postorder_nodes(repo.index.graph)
        return [(s.addressing, s.cmd.split()[2:], [Path(o.fs_path) for o in s.outs]) for s in order if s.cmd]


def middle(image: np.ndarray) -> list[Detection]:
    """A face in the middle of any picture."""
    height, width = image.shape[:2]
    return [Detection(box=np.array([width / 4, height / 4, width * 3 / 4, height * 3 / 4]), score=1.0)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("preset", preset_names())
def test_every_command_of_a_preset_runs(preset, raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # a few faces are drawn before a process to draw them has started
    for looking in (framing, face_search):  # looking for faces is the slowest part at this size
        monkeypatch.setattr(looking, "detect_faces", middle)
    monkeypatch.setattr(metric, "draw_counts", partial(intervals.draw_counts, draws=DRAWS))
    monkeypatch.setattr(paper_results, "by_column", printed_by_column)
    render = Figure.draw
    Repo.init(no_scm=True).close()
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    shutil.copytree(ROOT / "results/bench", tmp_path / "results/bench")
    (tmp_path / "experiments").mkdir()
    shutil.copy(ROOT / "experiments/claims.yaml", tmp_path / "experiments")
    assert entered("params", "use", preset) == 0
    values = yaml.safe_load(Path("params.yaml").read_text())
    rehearsal.shrink(values, root=raw)
    Path("params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    rehearsal.write_starting_weights(load_params())
    for stage, words, outs in commands():
        if stage in RUN_ELSEWHERE:
            continue
        # Figures are made by every stage, and rendered where each kind of task is drawn for the first time.
        drawn = preset == "embedded" and stage in ("evaluate@stage1", "evaluate@facexformer")
        monkeypatch.setattr(Figure, "draw", render if drawn else lambda figure, renderer: None)
        if stage.startswith("report_"):
            name = words[-1]
            section = getattr(load_params().notebooks, section_of(name)).model_dump(mode="json")
            run_cells(Path(f"notebooks/{name}.ipynb"), section)
            plt.close("all")
            continue
        monkeypatch.setattr(layouts, "render", rehearsal.first_drawn())
        assert entered(*words[1:]) == 0, stage
        assert all(out.exists() for out in outs), stage
    params = load_params()
    for model in params.evaluate.models:
        trained = params.variant(model).stage1.tasks
        report = read_json(Path(f"results/evaluate/{model}.json"))
        details = read_json(Path(f"results/evaluate/details/{model}.json"))
        tests = {each for name in trained for each in measured_as(params, name)}
        assert not details.get("failed") and set(details["tasks"]) == tests, model
        assert all(math.isfinite(report[test]) and report["intervals"][test] for test in tests)


def measured_as(params: Params, name: str) -> list[str]:
    """What a task is measured as: on its own data set by its name, on others with theirs behind it."""
    own = task(name).dataset
    sets = params.evaluate.test_sets.get(name, (own,))
    return [name if other == own else f"{name}@{other}" for other in sets]
