"""The image of a plan is the one it was made on: equal voxels in another room are another."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from planner.cli.console import Console
from planner.cli.plan_scene import PlanScene, body_of, plan_scene
from planner.errors import InputError, MixedFrameError
from planner.io import load_plan
from tests.dicom_plan import DicomPlan, dicom_plan

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> DicomPlan:
    return dicom_plan(tmp_path_factory.mktemp("planned"))


@pytest.mark.parametrize(
    ("tag", "error", "words"),
    [
        ("FrameOfReferenceUID", MixedFrameError, "another frame of reference"),
        ("StudyInstanceUID", InputError, "another study"),
    ],
)
def test_equal_voxels_of_another_frame_or_study_are_refused(
    planned: DicomPlan, tmp_path: Path, tag: str, error: type[Exception], words: str
) -> None:
    plan = load_plan(planned.file).model_copy(update={"structures": ()})
    series = tmp_path / "series"
    shutil.copytree(planned.series, series)
    assert plan_scene(QUIET, plan, planned.file, series, []) is not None
    for file in series.iterdir():
        header = pydicom.dcmread(file)
        setattr(header, tag, "1.2.3.99")
        header.save_as(file)
    with pytest.raises(error, match=words) as caught:
        plan_scene(QUIET, plan, planned.file, series, [])
    assert isinstance(caught.value, InputError)


def test_the_body_is_the_one_of_the_plan_or_not_known(planned: DicomPlan) -> None:
    plan = load_plan(planned.file)
    scene = PlanScene(volume=planned.result.volume, structures=planned.result.structures)
    body = body_of(QUIET, plan, scene)
    assert body is not None
    assert planned.result.body is not None
    assert np.array_equal(body.inside, planned.result.body.inside)
    other = plan.model_copy(update={"body": plan.body.model_copy(update={"sha256": "0" * 64})})
    assert body_of(QUIET, other, scene) is None
