"""Expression: one query per class, softmax cross entropy (paper section 3)."""

from __future__ import annotations

from faceptor.tasks.classification import Classification


class Expression(Classification):
    """Seven expressions in the unified order of `faceptor.datasets.labels.EXPRESSIONS`."""

    name, columns = "expression", ("expression",)
