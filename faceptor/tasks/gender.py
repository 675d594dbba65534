"""Gender as two classes, male and female, as the data sets label it (FaceXFormer sections 3.4 and F.5)."""

from __future__ import annotations

from faceptor.tasks.classification import Classification


class Gender(Classification):
    name, columns = "gender", ("gender",)
