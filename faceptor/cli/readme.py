"""`faceptor readme`: write the results into the pages."""

from faceptor.cli.options import PARAMS, ParamsFile, load


def readme(params: ParamsFile = PARAMS):
    """Write the results in README.md and docs/results.md from results/.

    Example: `faceptor readme`
    """
    from faceptor.pipeline.readme import PAGE, README, rewrite

    changed = rewrite(load(params))
    for path in (README, PAGE):
        print(f"{path}: " + ("results rewritten" if path in changed else "results already up to date"))
