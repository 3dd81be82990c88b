"""A plan on a DICOM series of the trunk, as files: what DICOM exports start from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

import planner
from planner.exports.dicom_source import SourceImages, source_images, with_structures
from planner.exports.plan_to_export import PlanToExport, plan_to_export
from planner.geometry import Mask, Volume
from planner.model import PlanResult, Protocol, StructureSet
from tests.dicom_writer import write_series
from tests.patient_positions import reacquired
from tests.plan_changes import agree
from tests.trunk import TARGET_LPS_MM, simple_protocol, trunk

OPTIONS = {"needle": "22G-90", "table_side": "none", "entry_spacing_mm": 4.0, "top": 2}


@dataclass(frozen=True, eq=False)
class DicomPlan:
    """One plan as files, and as it was before it was written."""

    series: Path
    file: Path
    result: PlanResult

    def opened(self, **options: object) -> tuple[PlanToExport, SourceImages]:
        """The plan through the gate of exports, and its images with its structures."""
        plan = plan_to_export(self.file, **options)
        source = source_images(plan, self.series)
        return plan, with_structures(source, plan, self.result.structures)

    def changed(self, file: Path, change: Callable[[dict], None]) -> Path:
        """A copy of plan.json after a change; what it tells twice agrees again."""
        data = json.loads(self.file.read_text())
        change(data)
        agree(data)
        file.write_text(json.dumps(data))
        return file


def clean_header(ds: Dataset, k: int = 0) -> None:
    """What the standard asks of an MR image, so that checkers find no fault of the source."""
    ds.PatientName, ds.PatientSex, ds.BodyPartExamined = "DOE^JOHN", "O", "LSPINE"
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20260102", "101112", "7"
    ds.AccessionNumber, ds.ReferringPhysicianName = "A77", None
    ds.Manufacturer, ds.PositionReferenceIndicator = "test", None
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "SK", None
    ds.MRAcquisitionType, ds.EchoTrainLength = "2D", 8
    ds.RepetitionTime, ds.EchoTime, ds.SliceThickness = "2500", "40", "2"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.PatientPosition = "HFP"


def on_dicom(
    folder: Path,
    volume: Volume,
    structures: StructureSet,
    edit: Callable[[Dataset, int], None] | None = None,
) -> tuple[Volume, StructureSet]:
    """The volume written as a DICOM series and read again, the structures on its grid."""

    def edited(ds: Dataset, k: int) -> None:
        clean_header(ds, k)
        if edit is not None:
            edit(ds, k)

    write_series(folder, volume.grid, np.asarray(volume.values), edit=edited)
    read = planner.load_volume(folder)
    moved = tuple(
        replace(
            s,
            mask=Mask(grid=read.grid, inside=s.mask.inside),
            source=replace(s.source, grid=read.grid),
        )
        for s in structures.structures
    )
    return read, StructureSet(grid=read.grid, structures=moved)


def turned(volume: Volume, structures: StructureSet, after: str) -> tuple[Volume, StructureSet]:
    """Image and masks as a scan in another patient position stores them; LPS stays."""
    image = reacquired(volume, "HFS", after)
    masks = []
    for structure in structures.structures:
        stored = Volume(grid=volume.grid, values=structure.mask.inside)
        mask = Mask(grid=image.grid, inside=reacquired(stored, "HFS", after).values)
        source = replace(structure.source, grid=image.grid)
        masks.append(replace(structure, mask=mask, source=source))
    return image, StructureSet(grid=image.grid, structures=tuple(masks))


def dicom_plan(
    folder: Path,
    kind: str = "oblique",
    *,
    scene: tuple[Volume, StructureSet] | None = None,
    edit: Callable[[Dataset, int], None] | None = None,
    protocol: Protocol | None = None,
    **options: object,
) -> DicomPlan:
    """A plan of the real search on the trunk, scanned head first prone."""
    volume, structures = on_dicom(folder / "series", *(scene or turned(*trunk(kind), "HFP")), edit)
    result = planner.plan(
        volume,
        TARGET_LPS_MM,
        protocol or simple_protocol(),
        structures,
        **{**OPTIONS, **options},
    )
    assert result.trajectories
    file = planner.save_plan(result, folder / "plan.json")
    return DicomPlan(series=folder / "series", file=file, result=result)
