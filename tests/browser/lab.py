"""JupyterLab as `make lab` starts it, on a loopback port with a token, and a Chromium that looks at it."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PATIENCE_S = 120  # on a busy machine; nothing here takes a tenth of it on a quiet one
COPIED, LINKED = ("notebooks",), ("params.yaml", "dvc.yaml", "results", "experiments", "docs", "data/README.md")


def chromium() -> str | None:
    """Path of a Chromium; $CHROMIUM names one that is not on the path."""
    return next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *NAMES))), None)


@dataclass(frozen=True)
class Server:
    url: str
    token: str


def checkout(folder: Path) -> Path:
    """The repository as it is right after a clone, so that what is run in JupyterLab changes no notebook here."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name in filter(lambda each: (ROOT / each).exists(), LINKED):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    return folder


@contextmanager
def lab(folder: Path, home: Path) -> Iterator[Server]:
    """A server of a folder, with nothing of the user's own settings; it ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    places = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    own = {"JUPYTER_CONFIG_PATH": str(ROOT / ".ci/jupyter"), "IPYTHONDIR": str(home / "ipython")}
    single = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    options = (
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"),
    )
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", *options],
            env={**os.environ, **places, **own, **single}, stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip
        try:
            server = Server(f"http://127.0.0.1:{port}", token)
            _wait(server, process, home / "server.log")
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _wait(server: Server, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.url}/api?token={server.token}", timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield found
        finally:
            found.close()


# What stands behind Run > Run All Cells, once the kernel is connected: a click before that is lost.
START = """path => {
  const run = async () => {
    const here = () => window.jupyterapp?.shell.currentWidget;
    while (here()?.context?.path !== path) await new Promise(resolve => setTimeout(resolve, 50));
    const panel = here();
    await panel.context.ready;
    await panel.sessionContext.ready;
    await window.jupyterapp.commands.execute('notebook:run-all-cells');
    return panel.context.model.toJSON().cells;
  };
  window.running = run();
}"""


class Notebook:
    """One notebook in a page of its own, all of whose cells begin to run. `start`: JupyterLab opens with it by itself,
    which only the first page does."""

    def __init__(self, within: Browser, server: Server, name: str, *, start: bool = False):
        path = f"notebooks/{name}.ipynb"
        self.page: Page = within.new_page(viewport={"width": 1300, "height": 2400})
        self.page.set_default_timeout(1000 * PATIENCE_S)
        self.elsewhere: list[str] = []  # requests that leave this machine
        self.page.on("request", lambda request: self._note(request.url, server))
        # reset: nothing of what another page had open
        opened = "/?" if start else f"/lab/tree/{path}?reset&"
        self.page.goto(f"{server.url}{opened}token={server.token}")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        self.page.evaluate(START, path)

    def _note(self, url: str, server: Server) -> None:
        if url.startswith("http") and not url.startswith(server.url):
            self.elsewhere.append(url)

    def cells(self) -> list[dict]:
        """The code cells with their outputs, once all have run."""
        return [cell for cell in self.page.evaluate("() => window.running") if cell["cell_type"] == "code"]

    def shot(self, folder: Path, name: str) -> None:
        self.page.screenshot(path=folder / f"{name}.png")
