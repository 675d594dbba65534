"""The pages that are made of what Git holds: results, claims, experiments, generated faces, shipped model, terms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from math import isnan
from pathlib import Path

from faceptor.analysis.experiments import SKILL, load_runs, summary
from faceptor.io.files import RESULTS, read_json
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.site.markup import markdown
from faceptor.pipeline.site.page import Page, Pictures, figure, table
from faceptor.pipeline.site.sources import hash_in_git

FIGURES = RESULTS / "evaluate" / "figures"
SHEETS, CARDS = RESULTS / "synthesis", RESULTS / "preprocess"
CLAIMS, RUNS = RESULTS / "experiments" / "claims.json", RESULTS / "experiments" / "runs"
GLOSSARY, RESULTS_PAGE = Path("docs/glossary.md"), Path("docs/results.md")
CARD = Path("faceptor/shipped/embedded/README.md")
FIGURE_WIDTH, SHEET_WIDTH = 900, 760  # pixels
SHOWN = ("landmarks_300w", "parsing_celebamaskhq")  # figures of the shipped model
STANDING = "parsing"  # the kind whose figure stands for the results
MEASURED = "results"  # groups of the index
MADE = "made"
COLOURS = {"holds": "#1b7837", "does not hold": "#b2182b", "undecided": "#b8860b", "not run": "#8a8a8a"}
CLASSES = "confusion of the classes, and how far a stated probability came true"
KINDS = {  # kind of task -> what its figure shows
    "landmarks": "share of the test faces at or below an error",
    "parsing": "confusion of the regions, and F1 by region",
    "age": "predicted against true age, error by age, and distribution of the errors",
    "attributes": "accuracy by attribute, and how far a stated probability came true",
    "recognition": "same faces accepted against different faces accepted, by set of pairs",
    "pose": "predicted against true angles, and error by size of the turn",
    "visibility": "precision against occluded points found, and accuracy by point",
} | dict.fromkeys(("expression", "gender", "race", "agegroup"), CLASSES)
HEADING = re.compile(r"^# .*\n+")


def pages_of(experiment: Experiment, root: Path) -> Iterator[Page]:
    """Every page whose sources are there."""
    pages = {
        RESULTS_PAGE: metrics_page, CLAIMS: claims_page, RUNS: experiments_page, SHEETS: sheets_page, CARD: model_page,
        GLOSSARY: glossary_page,
    }  # fmt: skip
    for source, make in pages.items():
        if (root / source).exists() and (page := make(experiment, root)) is not None:
            yield page


def text_of(root: Path, path: Path) -> str:
    """HTML of a file of Markdown, without its heading."""
    return markdown(HEADING.sub("", (root / path).read_text()), origin=path.as_posix())


def hashes(root: Path, *paths: Path) -> dict[str, str]:
    return {path.as_posix(): hash_in_git(root, path.as_posix()) for path in paths}


def metrics_page(experiment: Experiment, root: Path) -> Page:
    """docs/results.md, and below it the figures of every model's evaluation."""
    pictures = Pictures("metrics")
    parts = [text_of(root, RESULTS_PAGE), '<h2 id="figures">Figures of every test</h2>']
    for model in experiment.params.evaluate.models:
        shown = [
            _figure(pictures, path, f"{path.stem} of {model}: {_what(path.stem)}", f"{model}-{path.stem}")
            for path in sorted((root / FIGURES / model).glob("*.png"))
        ]
        parts.append(f"<details><summary>{escape(model)}: {len(shown)} figures</summary>{''.join(shown)}</details>")
    made = hashes(root, RESULTS_PAGE, FIGURES)
    line = "Every metric of every model and transfer with its interval, and a figure of every test."
    picture = next((name for name in pictures.files if STANDING in name), pictures.first)
    return Page("metrics", "All metrics", line, MEASURED, "\n".join(parts), picture, made, pictures.files)


def _figure(pictures: Pictures, path: Path, alt: str, stem: str) -> str:
    stem = re.sub(r"[^\w-]", "-", stem)
    return figure(pictures.add(path.read_bytes(), alt, widest=FIGURE_WIDTH, stem=stem), escape(alt))


def _what(test: str) -> str:
    return KINDS.get(test.split("_")[0], "figure of its evaluation")


def claims_page(experiment: Experiment, root: Path) -> Page:
    """The papers' claims with the verdicts that the runs give them."""
    found, pictures = read_json(root / CLAIMS), Pictures("claims")
    counted = ", ".join(f"{count} {name}" for name, count in found["verdicts"].items() if count)
    bar = figure(pictures.add_svg(verdict_bar(found["verdicts"]), f"Claims by verdict: {counted}"))
    parts = [
        bar,
        f"<p>Claims of the papers by verdict: {counted}. Each verdict comes from differences "
        "paired by seed and their 95 % interval (Student's t), on small models and generated faces; it says nothing "
        "about the models of the papers at their size. A gain is turned so that more is better for the first.</p>",
        *map(_claim, found["claims"]),
    ]
    if found.get("not_bound"):
        rows = [(escape(each["says"]), _where(each), escape(each["why"])) for each in found["not_bound"]]
        parts += ['<h2 id="not-bound">Claims that no variant can judge</h2>', table(("claim", "where", "why"), rows)]
    line = "What the papers claim, each sentence with its verdict: holds, does not hold, undecided."
    made = hashes(root, CLAIMS)
    return Page("claims", "Claims", line, MEASURED, "\n".join(parts), pictures.first, made, pictures.files)


def _claim(claim: Mapping) -> str:
    columns = ("first", "second", "tests", "metric", "seeds", "gain", "interval")
    rows = [
        [escape(_cell(each.get(name))) for name in columns] + [_printed(each), _badge(each["verdict"])]
        for each in claim["compared"]
    ]
    title = f'<h3 id="{escape(claim["name"])}">{_badge(claim["verdict"])} {escape(claim["says"])}</h3>'
    compared = table((*columns, "printed", "verdict"), rows)
    return f'<section>{title}<p class="where">{_where(claim)}</p>{compared}</section>'


def _where(claim: Mapping) -> str:
    return escape(f"{ {'faceptor': 'Faceptor', 'facexformer': 'FaceXFormer'}[claim['paper']] }, {claim['where']}")


def _printed(compared: Mapping) -> str:
    """What the paper prints, test by test: first : second, or the gain."""
    pairs = compared.get("printed", ())
    told = [f"{p['first']:g} : {p['second']:g}" if "gain" not in p else f"better by {p['gain']:g}" for p in pairs]
    return ", ".join(told) or "-"


def _badge(verdict: str) -> str:
    return f'<span class="badge" style="background:{COLOURS[verdict]}">{escape(verdict)}</span>'


def _cell(value) -> str:
    """A value of a comparison; "-" for none."""
    if isinstance(value, list):
        return f"[{value[0]:.3g}, {value[1]:.3g}]" if isinstance(value[0], float | int) else ", ".join(value)
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def verdict_bar(verdicts: Mapping[str, int]) -> str:
    """An SVG bar parted by verdict."""
    whole, left, parts = max(1, sum(verdicts.values())), 0.0, []
    for number, (name, count) in enumerate(verdicts.items()):
        width = 600 * count / whole
        parts.append(f'<rect x="{left:.1f}" y="0" width="{width:.1f}" height="60" fill="{COLOURS[name]}"/>')
        parts.append(
            f'<rect x="{number * 150}" y="76" width="14" height="14" fill="{COLOURS[name]}"/>'
            f'<text x="{number * 150 + 20}" y="88">{count} {name}</text>'
        )
        left += width
    return _svg(600, 100, "".join(parts))


def experiments_page(experiment: Experiment, root: Path) -> Page | None:
    """The variants of params.yaml and what they measured: mean and interval over seeds."""
    runs = load_runs(experiment.params, root)
    if runs.empty:
        return None
    variants = experiment.params.experiments.variants
    found, pictures = summary(runs, variants), Pictures("experiments")
    test, skills = widest_test(summary(runs, variants, SKILL))
    alt = f"Skill on {test} by variant: mean and 95 % interval over seeds"
    chart = figure(pictures.add_svg(dots(skills), alt), escape(alt))
    seeds = found.groupby("variant")["seeds"].max()
    rows = [(f"<code>{name}</code>", escape(each.about), str(seeds.get(name, 0))) for name, each in variants.items()]
    parts = [
        "<p>A variant is a few lines of <code>params.yaml</code>; <code>make experiments</code> runs all of them. "
        "Small models, few steps and generated faces: differences between variants are what they are for.</p>",
        chart,
        table(("variant", "what it is", "seeds"), rows),
        '<h2 id="measured">Measured</h2>',
        "<p>Headline of each test: mean over seeds, in brackets its 95 % interval (Student's t).</p>",
        *(_test_table(found, test) for test in found["test"].unique()),
    ]
    made = hashes(root, RUNS)
    line = "Variants over several seeds: every ablation, transfer and single-task run in numbers."
    return Page("experiments", "Experiments", line, MEASURED, "\n".join(parts), pictures.first, made, pictures.files)


def widest_test(skills) -> tuple[str, list[tuple[str, float, float, float]]]:
    """The test that most variants have, and their (variant, mean, low, high) on it, the best first."""
    test = skills["test"].value_counts(sort=False).idxmax()
    mine = skills[skills["test"] == test].sort_values("mean", ascending=False, kind="stable")
    return test, [(row.variant, row.mean, row.low, row.high) for row in mine.itertuples()]


def dots(rows: list[tuple[str, float, float, float]]) -> str:
    """An SVG of means with intervals, a row each, from 0 or the lowest to the highest; one seed has no interval."""
    ends = [end for _, *values in rows for end in values if not isnan(end)]
    least, most, height = min(0.0, *ends), max(0.0, *ends), 22 * len(rows) + 30
    place = {end: 240 + 400 * (end - least) / ((most - least) or 1) for end in (*ends, 0.0)}
    zero = f'<line x1="{place[0.0]:.1f}" x2="{place[0.0]:.1f}" y1="0" y2="{height - 26}" stroke="#999"/>'
    zero += f'<text x="{place[0.0]:.1f}" y="{height - 8}" text-anchor="middle">0</text>'
    parts = [zero, f'<text x="440" y="{height - 8}" text-anchor="middle">skill</text>']
    parts.append(f'<text x="640" y="{height - 8}" text-anchor="middle">{most:.2f}</text>')
    for number, (name, mean, low, high) in enumerate(rows):
        y = 22 * number + 12
        parts.append(f'<text x="228" y="{y + 5}" text-anchor="end">{escape(name)}</text>')
        if not isnan(low):
            parts.append(f'<line x1="{place[low]:.1f}" x2="{place[high]:.1f}" y1="{y}" y2="{y}" stroke="#0072b2"/>')
        parts.append(f'<circle cx="{place[mean]:.1f}" cy="{y}" r="4" fill="#0072b2"/>')
    return _svg(660, height, "".join(parts))


def _svg(width: int, height: int, inside: str) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    words = 'font-family="sans-serif" font-size="14" fill="#222"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {words}>{inside}</svg>\n'


def _test_table(found, test: str) -> str:
    mine = found[found["test"] == test]
    rows = [(f"<code>{row.variant}</code>", str(row.seeds), _mean(row)) for row in mine.itertuples()]
    head = f"<code>{test}</code>, {mine['metric'].iloc[0]}"
    inside = table(("variant", "seeds", "mean"), rows)
    return f"<details><summary>{head}: {len(mine)} variants</summary>{inside}</details>"


def _mean(row) -> str:
    ends = "" if isnan(row.low) else f" [{row.low:.2f}, {row.high:.2f}]"
    return f"{row.mean:.2f}{ends}"


def sheets_page(experiment: Experiment, root: Path) -> Page | None:
    """The contact sheets of the generated data sets."""
    sheets = {path.stem: path for path in sorted((root / SHEETS).glob("*.webp"))}
    if not sheets:
        return None
    pictures, parts = Pictures("sheets"), []
    parts.append(
        "<p>What stands in for the licensed data: faces drawn from geometry, with exact labels, in the layouts in "
        "which the owners publish their data sets. They are the only faces that the committed models have seen.</p>"
    )
    for name, path in sheets.items():
        title, counts = _card(root, name)
        anchor = name.strip("_")
        alt = f"Generated faces in the layout of {title}, with their labels"
        image = pictures.add(path.read_bytes(), alt, widest=SHEET_WIDTH, stem=anchor)
        parts += [f'<h2 id="{anchor}">{escape(title)}</h2>', f"<p>{counts}</p>" if counts else "", figure(image)]
    made = hashes(root, SHEETS)
    line = "Sheets of the drawn faces with their labels, one for each data set."
    return Page("sheets", "Generated faces", line, MADE, "\n".join(parts), pictures.first, made, pictures.files)


def _card(root: Path, name: str) -> tuple[str, str]:
    """Title of a data set, and how many faces its splits have."""
    if not (root / CARDS / f"{name}.json").is_file():
        return name.strip("_"), ""
    card = read_json(root / CARDS / f"{name}.json")
    return card["title"], ", ".join(f"{count:,} {split}" for split, count in card["counts"].items() if count)


def model_page(experiment: Experiment, root: Path) -> Page:
    """The card of the model that comes with the package."""
    pictures, shown = Pictures("model"), []
    source = experiment.params.shipped.get("embedded", "stage2")
    for name in SHOWN:
        path = root / FIGURES / source / f"{name}.png"
        if path.is_file():
            shown.append(_figure(pictures, path, f"{name}: {_what(name)}", name))
    made = hashes(root, CARD, *(FIGURES / source / f"{name}.png" for name in SHOWN))
    heading = '<h2 id="how-it-answers">How it answers test faces</h2>'
    body = "\n".join([text_of(root, CARD), heading, *shown])
    line = "The small model that comes with the package: what taught it, its numbers, what it is not for."
    return Page("model", "The shipped model", line, MADE, body, pictures.first, made, pictures.files)


def glossary_page(experiment: Experiment, root: Path) -> Page:
    made = hashes(root, GLOSSARY)
    return Page("glossary", "Terms", "The terms of this project.", "", text_of(root, GLOSSARY), made_from=made)
