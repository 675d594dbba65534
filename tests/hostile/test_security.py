"""No file outside a data set's folder is read, and nothing in the package loads what could run code."""

import ast
from pathlib import Path, PurePosixPath

import pytest

import faceptor
from tests.hostile.bases import BASES
from tests.hostile.judge import EVERYTHING, Judge
from tests.hostile.outcome import prepared
from tests.hostile.targets import suffix


@pytest.mark.parametrize("reader", BASES)
def test_no_kind_of_file_is_read_through_a_link_out_of_the_folder(reader, tmp_path):
    judge = Judge(BASES[reader][0], tmp_path)
    kinds = {(str(PurePosixPath(path).parent), suffix(path)): path for path in judge.tree().files()}
    tried = 0
    for path in kinds.values():
        tree = judge.tree()
        tree.move_out(path)
        now = prepared(judge.base, tree.root, judge.home / "out")
        tried += bool(now.refusal or now.rejects)
        assert judge.verdict(tree, now) == "", path
        if not now.refusal:
            owners = judge.owners(path)
            assert owners is not EVERYTHING and not owners & now.rows.keys(), f"{path} was read"
    assert tried


def test_a_folder_may_be_linked_as_a_whole(tmp_path):
    judge = Judge(BASES["300w"][0], tmp_path)
    (tmp_path / "link").symlink_to(judge.pristine)
    assert prepared(judge.base, tmp_path / "link", tmp_path / "out").rows == judge.original.rows


SAFE = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
NEVER = {"pickle.load", "pickle.loads", "joblib.load", "yaml.load", "yaml.unsafe_load", "eval", "exec", "os.system"}


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            words = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
            yield ast.unparse(node.func), words, node.lineno


def test_nothing_in_the_package_loads_what_could_run():
    found = []
    for path in sorted(Path(faceptor.__file__).parent.rglob("*.py")):
        for name, words, line in calls(ast.parse(path.read_text(encoding="utf-8"))):
            safe = name not in NEVER and (name not in SAFE or words.get(SAFE[name][0]) is SAFE[name][1])
            if not safe or words.get("shell") is True:
                found.append(f"{path.name}:{line}: {name}")
    assert not found
