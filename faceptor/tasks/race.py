"""Race in the classes of the data set: five in UTKFace, seven in FairFace (FaceXFormer sections 3.4 and F.5)."""

from __future__ import annotations

from faceptor.tasks.classification import Classification


class Race(Classification):
    name, columns = "race", ("race",)
