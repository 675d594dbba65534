"""The page that runs the shipped model: in a Chromium it answers a generated face as `faceptor.predict` does."""

import functools
import gzip
import hashlib
import http.server
import json
import os
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import faceptor
from faceptor.deploy.demo import build_demo
from faceptor.deploy.stored import with_stored_weights
from faceptor.explorer.faces import drawn_picture
from faceptor.predict.detector import detect_faces
from tests.browser.lab import PATIENCE_S, ROOT, browser, chromium

RUNTIME = ROOT / "docs/demo/runtime"
SEEN = """() => window.faceptor.faces.map(face => ({...face, answers: Object.fromEntries(
  Object.entries(face.answers).map(([name, each]) =>
    [name, each.classes ? {...each, classes: [...each.classes]} : each])
)}))"""


@contextmanager
def served(folder: Path):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.func.log_message = lambda *arguments: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="no Chromium found; see CONTRIBUTING, Notebooks in a browser")
def test_the_page_answers_as_predict_does(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    picture = drawn_picture(3)
    Image.fromarray(picture.pixels).save(tmp_path / "face.png")
    build_demo(tmp_path / "demo")
    with served(tmp_path / "demo") as url, browser() as found:
        page = found.new_page(viewport={"width": 1200, "height": 1400})
        page.set_default_timeout(1000 * PATIENCE_S)
        asked, wrong = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(url)
        page.wait_for_selector("body[data-state=ready], body[data-state=failed]")
        assert "generated faces" in page.locator("#warning").inner_text(), page.locator("#status").inner_text()
        page.set_input_files("#file", tmp_path / "face.png")
        page.wait_for_selector("body[data-state=answered], body[data-state=failed]")
        (first,) = page.evaluate(SEEN)
        page.fill("#box", ",".join(f"{edge:.3f}" for edge in picture.faces[0].box))
        page.evaluate("window.faceptor = null")
        page.click("#answer")
        page.wait_for_function("window.faceptor && document.body.dataset.state == 'answered'")
        (given,) = page.evaluate(SEEN)
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=Path(folder) / "demo.png", full_page=True)
        said = page.locator("#answers").inner_text()
    assert not wrong and all(each.startswith((url, "blob:", "data:")) for each in asked)
    (own,) = detect_faces(picture.pixels)[:1]
    assert np.abs(np.subtract(first["box"], own.box)).max() < 0.05 * (own.box[2] - own.box[0])
    check_alike(given["answers"], picture.pixels, given["box"])
    assert "years" in said and "landmarks" in said


def check_alike(answers: dict, pixels: np.ndarray, box: list[float]) -> None:
    """What the page says about a face box, and what the package says with weights stored alike."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (face,) = faceptor.predict(with_stored_weights(faceptor.load(), "int8"), pixels, boxes=[box])
    assert answers.keys() == face.results.keys()
    points = face.results["landmarks_300w"].points
    assert np.abs(np.subtract(answers["landmarks_300w"]["points"], points)).max() < 0.01 * (box[2] - box[0])
    classes = np.reshape(answers["parsing_celebamaskhq"]["classes"], pixels.shape[:2])
    assert (classes == face.results["parsing_celebamaskhq"].classes).mean() > 0.995
    assert answers["age_morph2"]["years"] == pytest.approx(face.results["age_morph2"].years, abs=0.05)
    for task in ("expression_affectnet", "expression_rafdb", "attributes_celeba"):
        expected = face.to_json()["tasks"][task]["probabilities"]
        assert answers[task]["probabilities"] == pytest.approx(expected, abs=0.01), task
    one, other = np.array(answers["recognition_ms1mv3"]["embedding"]), face.results["recognition_ms1mv3"].embedding
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.9999


def test_the_runtime_is_the_published_one():
    facts = json.loads((RUNTIME / "runtime.json").read_text())
    for name, expected in facts["files"].items():
        path = RUNTIME / name
        data = path.read_bytes() if path.exists() else gzip.decompress((RUNTIME / f"{name}.gz").read_bytes())
        assert hashlib.sha256(data).hexdigest() == expected, name
