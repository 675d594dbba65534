"""AFLW-19: 19 landmarks and a face box on the AFLW photographs."""

from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.matlab import load_mat, matrix
from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.reader import BadSample, Check, Reader, Record, Reject, box, points

INFO = "AFLWinfo_release.mat"
FRONTAL_TEST_FACES = (1314, 1165)  # test faces of which every point is seen, as two papers count them
TRAIN_ROWS = 20000  # rows of the permutation that train; the rest is for testing


class AFLW19(Reader):
    name = "aflw19"
    title = "AFLW (19 landmarks)"
    source = "images on request from TU Graz, AFLWinfo_release.mat from CUHK compositional learning"
    licence = "AFLW licence agreement, research only"
    published: ClassVar = {"train": 20000, "test": 4386}
    columns = ("landmarks", "box")
    scheme = "AFLW-19"
    classes: ClassVar = {"landmarks": landmark_scheme("AFLW-19").names}

    @cached_property
    def _info(self) -> dict:
        path = self.require(INFO, what="the annotation file")
        info = load_mat(path, ("nameList", "bbox", "data", "mask_new", "ra"))
        count = len(info["nameList"])
        if not isinstance(info["nameList"], list):
            raise self.wrong(path, expected="nameList to be cells of names", found="an array")
        for name, width in (("bbox", 4), ("data", 38), ("mask_new", 19)):
            info[name] = matrix(path, name, info[name])
            if np.shape(info[name]) != (count, width):
                raise self.wrong(path, expected=f"{name} of shape ({count}, {width})", found=str(np.shape(info[name])))
        order = matrix(path, "ra", info["ra"]).ravel()
        if not np.array_equal(np.sort(order), np.arange(1, count + 1)):
            raise self.wrong(path, expected=f"ra to be a permutation of 1..{count}", found="another set of numbers")
        return info | {"order": order.astype(np.int64) - 1}

    def read(self, split: str) -> Iterator[Record | Reject]:
        order = self._info["order"]
        for row in order[: self._train] if split == "train" else order[self._train :]:
            key = f"{int(row):05d}:{self._info['nameList'][row]}"  # several faces share one photograph
            yield self.attempt(key, f"{INFO}:{int(row) + 1}", self._record, key, split, row)

    def _record(self, key: str, split: str, row: int) -> Record:
        name = self._info["nameList"][row]
        if not isinstance(name, str):
            raise BadSample(f"expected a file name, found {type(name).__name__}")
        xy = self._info["data"][row]
        left, right, top, bottom = self._info["bbox"][row]
        visible = self._info["mask_new"][row].astype(bool).all()
        return Record(
            key=key,
            split=split,
            image=self.image(name.replace("\\", "/"), folder=self._images),
            group=name,
            subsets=("frontal",) if split == "test" and visible else (),
            landmarks=points(np.stack([xy[:19], xy[19:]], axis=1), 19),
            box=box(left, top, right, bottom),
        )

    @property
    def _train(self) -> int:
        return self.generated_counts.get("train", TRAIN_ROWS)

    @cached_property
    def _images(self):
        return self.require("data/flickr", "flickr", what="the folder of images")

    def checks(self) -> Iterator[Check]:
        order = self._info["order"]
        frontal = self._info["mask_new"][order[self._train :]].astype(bool).all(axis=1)
        found = int(frontal.sum())
        passed = None if self.generated else found in FRONTAL_TEST_FACES
        yield Check.of("frontal test faces (reported as 1,314 or 1,165)", passed, f"{found} found")
