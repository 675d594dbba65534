"""Judge the papers' claims by the runs that are there; write results/experiments/claims.json."""

from __future__ import annotations

from pathlib import Path

from faceptor.analysis.experiments import expected_runs, load_runs, missing_runs, run_path
from faceptor.analysis.paper_claims import FILE, load_claims
from faceptor.analysis.verdicts import WRITTEN, as_json, counts, judge
from faceptor.config import Params
from faceptor.io.files import read_json, write_json
from faceptor.pipeline.run_settings import digest


def write_verdicts(params: Params, root: Path = Path(".")) -> dict[str, int]:
    """Write the verdict on every claim of experiments/claims.yaml, and return how many claims have which.

    The file also says how many runs there are and what they are by content, so that whatever shows the runs can depend
    on it alone. The same runs and claims give the same file.
    """
    claims, table = load_claims(root / FILE, params), load_runs(params, root)
    verdicts = judge(claims, table)
    expected, missing = expected_runs(params), missing_runs(params, root)
    found = [run for run in expected if run not in missing]
    content = digest([read_json(run_path(root, *run)) for run in found]) if found else ""
    runs = {"expected": len(expected), "found": len(found), "content": content}
    write_json(root / WRITTEN, {"runs": runs} | as_json(claims, verdicts))
    return counts(verdicts)
