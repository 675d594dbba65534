"""`faceptor report`: the site of executed notebooks and results."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, ParamsFile, load

Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if a stale page is not marked so.")]


def report(check: Check = False, params: ParamsFile = PARAMS):
    """Gather executed notebooks, results, claims and figures as static pages in docs/site.

    A notebook that was not executed here keeps its committed page. A page is stale where a notebook's source or
    parameters, results or models are no longer what it was made from; it says so, and the index does.

    Example: `faceptor report`, `faceptor report --check`
    """
    from faceptor.pipeline.site import build

    if check:
        stale, told = build.check(Path()), build.marked(Path())
        for name, changed in stale.items():
            print(f"{name}: stale, {', '.join(changed)} changed" + ("" if name in told else "; not marked"))
        if stale != told:
            print("the site does not say so: run `faceptor report`", file=sys.stderr)
            raise typer.Exit(1)
        print(f"{build.SITE}: {'every page is' if not stale else 'the other pages are'} of what is here")
        return
    pages = build.report(load(params))
    for page in pages:
        kept = "kept as committed (not executed here)" if page.kept else "written"
        print(f"{page.file}: {kept}" + (f"; STALE, {', '.join(page.stale)} changed" if page.stale else ""))
    size = sum(path.stat().st_size for path in build.SITE.iterdir())
    print(f"{build.SITE / 'index.html'}: {len(pages)} pages, {size / 1e6:.1f} MB")
