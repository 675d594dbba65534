"""The command line, in the process of the tests, which has loaded the libraries already: that takes seconds."""

import sys

import pytest

from faceptor import cli


def entered(*words: str) -> int:
    """`faceptor ...` by its entry point, in the current folder; the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["faceptor", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code or 0
