"""A folder for 3D Slicer: lines, needles as tubes, structures, and the skin coloured by risk.

Everything is written in LPS and says so; Slicer turns it into RAS when it reads. No transform
file: what ITK writes there is the inverse of where the needle is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import OutputError
from planner.exports.markups import write_markups
from planner.exports.plan_to_export import PlanToExport, one_line, verdict_of
from planner.io.atomic import write_bytes_atomic
from planner.io.plan_document import RESEARCH_USE
from planner.model import StructureRole, Verdict
from planner.report.html_region import GIVEN_REGION, region_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from planner.model import PlanResult, StructureSet

LINES_FILE = "needle_paths.mrk.json"
NEEDLES_FILE = "needles.vtp"
STRUCTURES_FILE = "structures.seg.nrrd"
SKIN_FILE = "skin_risk.vtp"
PLAN_SHA256 = "PLAN_SHA256"
"""Name of the text in a model that says which plan.json it belongs to."""

_STAND_IN = "name-of-segment-"
_TUBE_SIDES = 24
_RGB = {
    Verdict.PASS: (0, 158, 115),
    Verdict.CAUTION: (230, 159, 0),
    Verdict.UNKNOWN: (153, 153, 153),
    Verdict.FAIL: (214, 38, 41),
}
_ROLE_RGB = {
    StructureRole.AVOID: (0.94, 0.89, 0.26),
    StructureRole.BONE: (0.95, 0.92, 0.80),
    StructureRole.IMPLANT: (0.45, 0.50, 0.60),
    StructureRole.BODY: (0.85, 0.68, 0.56),
    StructureRole.TARGET: (0.80, 0.47, 0.65),
    StructureRole.ALLOWED: (0.60, 0.80, 0.60),
}


def write_slicer(
    plan: PlanToExport,
    folder: Path,
    *,
    structures: StructureSet | None = None,
    skin_file: Path | None = None,
) -> tuple[Path, ...]:
    """The files written to an existing folder.

    Parameters
    ----------
    plan : PlanToExport
    folder : Path
    structures : StructureSet, optional
        Those of the plan; without them there is no segmentation.
    skin_file : Path, optional
        The skin that ``plan`` wrote beside plan.json; left out where it is not there or
        is another plan's.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    written = [*write_markups(plan, folder / LINES_FILE)]
    written.append(write_needles(plan, folder / NEEDLES_FILE))
    if structures is not None and len(structures.structures):
        written.append(write_structures(plan, structures, folder / STRUCTURES_FILE))
    if skin_file is not None and plan_sha256_of(skin_file) == plan.sha256:
        written.append(_copy_skin(plan, skin_file, folder / SKIN_FILE))
    return tuple(written)


def write_needles(plan: PlanToExport, path: Path) -> Path:
    """The needles as closed tubes of their outer radius, LPS mm, coloured by verdict.

    Point arrays: ``colour``, ``rank`` and ``is_throw`` (1 past the tip, where the
    procedure fires the needle further).

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from vtkmodules.vtkFiltersCore import vtkAppendPolyData

    radius_mm = plan.document.needle.outer_diameter_mm / 2
    everything = vtkAppendPolyData()
    everything.SetOutputPointsPrecision(1)
    for trajectory in plan.paths:
        parts = [(trajectory.entry_lps_mm, trajectory.tip_lps_mm, 0)]
        if trajectory.throw_end_lps_mm != trajectory.tip_lps_mm:
            parts.append((trajectory.tip_lps_mm, trajectory.throw_end_lps_mm, 1))
        for start_lps_mm, end_lps_mm, is_throw in parts:
            tube = _tube(start_lps_mm, end_lps_mm, radius_mm)
            n = tube.GetNumberOfPoints()
            _add_points(
                tube,
                {
                    "colour": np.tile(np.array(_RGB[verdict_of(trajectory)], np.uint8), (n, 1)),
                    "rank": np.full(n, trajectory.rank, dtype=np.int32),
                    "is_throw": np.full(n, is_throw, dtype=np.uint8),
                },
            )
            everything.AddInputData(tube)
    everything.Update()
    descriptions = [plan.description_of(trajectory) for trajectory in plan.paths]
    return _write_model(
        everything.GetOutput(), path, plan_sha256=plan.sha256, descriptions=descriptions
    )


def write_structures(plan: PlanToExport, structures: StructureSet, path: Path) -> Path:
    """The masks as a ``.seg.nrrd``, one segment each under its name; overlaps in layers.

    A target region that the plan derived from them is a segment too. The header says which
    plan, frame of reference and series they belong to.

    Raises
    ------
    InputError
        If the region that the masks give is not the one of the plan.
    OutputError
        If it cannot be written.
    """
    import slicerio

    layers: list[NDArray[np.uint8]] = []
    segments: list[dict[str, Any]] = []
    parts = _parts(plan, structures)
    names = [one_line(name) for name, _, _ in parts]
    for number, (_, inside, colour) in enumerate(parts, start=1):
        at = next((n for n, taken in enumerate(layers) if not (taken[inside] > 0).any()), None)
        if at is None:
            layers.append(np.zeros(inside.shape, dtype=np.uint8))
            at = len(layers) - 1
        value = 1 + sum(segment["layer"] == at for segment in segments)
        if value > np.iinfo(np.uint8).max:
            raise OutputError("too many structures in one layer", seen=value, needed="255")
        layers[at][inside] = value
        segments.append(
            {
                "id": f"Segment_{number}",
                "labelValue": value,
                "layer": at,
                "name": f"{_STAND_IN}{number}",
                "color": list(colour),
            }
        )
    # Slicer counts i, j, k; several layers come first.
    ijk = np.stack([layer.transpose(2, 1, 0) for layer in layers])
    lps_from_kji = structures.grid.lps_from_kji
    content = {
        "voxels": ijk if len(layers) > 1 else ijk[0],
        "ijkToLPS": lps_from_kji[:, [2, 1, 0, 3]],
        "encoding": "gzip",
        "segments": segments,
    }
    try:
        with tempfile.TemporaryDirectory(prefix="needle-planner-") as folder:
            file = Path(folder) / STRUCTURES_FILE
            slicerio.write_segmentation(str(file), content)
            content_bytes = _with_names(file.read_bytes(), names)
            return write_bytes_atomic(path, _with_keys(content_bytes, _belonging(plan)))
    except OSError as error:
        raise OutputError(
            "the segmentation cannot be written",
            seen=error.strerror or str(error),
            where=str(path),
        ) from error


def _parts(
    plan: PlanToExport, structures: StructureSet
) -> list[tuple[str, NDArray[np.bool_], tuple[float, float, float]]]:
    """Name, voxels and colour of each segment."""
    found = [(s.name, s.mask.inside, _ROLE_RGB[s.role]) for s in structures.structures]
    region = plan.document.target.region
    if region is not None and region.name.removeprefix(GIVEN_REGION) not in structures:
        mask = region_mask(plan.document, structures)
        found.append((f"target {region.name}", mask.inside, _ROLE_RGB[StructureRole.TARGET]))
    return found


def _belonging(plan: PlanToExport) -> dict[str, str]:
    verdict = f"verdict {plan.worst_verdict}"
    words = ["UNVERIFIED"] * plan.is_unverified + [verdict, *plan.place(), RESEARCH_USE]
    return {PLAN_SHA256: plan.sha256, "DESCRIPTION": one_line("; ".join(words))}


def _with_names(nrrd: bytes, names: Sequence[str]) -> bytes:
    """The file with names in UTF-8: the library that wrote it knows ASCII only."""
    head, end, data = nrrd.partition(b"\n\n")
    lines = []
    for line in head.split(b"\n"):
        key, is_pair, value = line.partition(b":=")
        number = value.strip().decode("ascii").removeprefix(_STAND_IN)
        if key.endswith(b"_Name") and is_pair and number.isdigit():
            # a backslash would begin an escape of the format
            name = names[int(number) - 1].replace("\\", "/")
            line = key + is_pair + name.encode("utf-8")
        lines.append(line)
    return b"\n".join(lines) + end + data


def _with_keys(nrrd: bytes, pairs: Mapping[str, str]) -> bytes:
    """The file with more pairs at the end of its header, which an empty line ends."""
    head, end, data = nrrd.partition(b"\n\n")
    more = "".join(f"\n{key}:={value}" for key, value in pairs.items())
    return head + more.encode("utf-8") + end + data


def write_skin(result: PlanResult, path: Path, *, plan_sha256: str) -> Path | None:
    """The skin with what the search found at each point; None where no body is known.

    Point arrays: ``colour`` (as in the pictures: clearance where feasible, grey where not),
    ``clearance_mm`` (NaN where no path is feasible), ``feasible`` and ``reason`` (index into
    the text array ``REASONS``). Where the image ends, or nothing was tried, is not feasible.

    Parameters
    ----------
    result : PlanResult
    path : Path
    plan_sha256 : str
        Of the plan.json it belongs to.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    if result.body is None:
        return None
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

    from planner.report.skin_colours import clearance_colours, clearance_norm
    from planner.report.skin_values import skin_values
    from planner.report.surface import mask_surface

    surface = mask_surface(result.body)
    values = skin_values(
        result.candidates, surface.vertices_lps_mm, result.body.grid, result.imaged
    )
    points = vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(surface.vertices_lps_mm), deep=True))
    cells = vtkCellArray()
    triangles = np.ascontiguousarray(surface.triangles.ravel())
    cells.SetData(3, numpy_to_vtkIdTypeArray(triangles, deep=True))
    model = vtkPolyData()
    model.SetPoints(points)
    model.SetPolys(cells)
    is_feasible = ~np.isnan(values.clearance_mm)
    _add_points(
        model,
        {
            "colour": clearance_colours(values, clearance_norm(values)),
            "clearance_mm": values.clearance_mm.astype(np.float32),
            "feasible": is_feasible.astype(np.uint8),
            "reason": values.reason.astype(np.int32),
        },
    )
    volume = result.volume
    description = (
        f"Skin by what the search found; plan verdict {result.verdict}; frame of reference "
        f"{volume.grid.frame.uid or 'not stated'}; series "
        f"{volume.source.series_instance_uid or 'not stated'}; {RESEARCH_USE}"
    )
    return _write_model(
        model, path, plan_sha256=plan_sha256, descriptions=[description], reasons=values.labels
    )


def plan_sha256_of(model: Path) -> str | None:
    """Which plan a model written here belongs to; None where it is not there or does not say."""
    if not model.is_file():
        return None
    text = _read_model(model).GetFieldData().GetAbstractArray(PLAN_SHA256)
    return None if text is None or text.GetNumberOfValues() != 1 else str(text.GetValue(0))


def _read_model(file: Path) -> Any:
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(file))
    reader.Update()
    return reader.GetOutput()


def _copy_skin(plan: PlanToExport, skin_file: Path, path: Path) -> Path:
    """The skin as it is, or, of what is not verified, with that in its description."""
    if not plan.is_unverified:
        return write_bytes_atomic(path, skin_file.read_bytes())
    model = _read_model(skin_file)
    told = model.GetFieldData().GetAbstractArray("DESCRIPTION")
    known = [] if told is None else [told.GetValue(n) for n in range(told.GetNumberOfValues())]
    words = one_line("; ".join(["UNVERIFIED", *known]))
    return _write_model(model, path, plan_sha256=plan.sha256, descriptions=[words])


def _tube(start_lps_mm: Sequence[float], end_lps_mm: Sequence[float], radius_mm: float) -> Any:
    from vtkmodules.vtkFiltersCore import vtkTubeFilter
    from vtkmodules.vtkFiltersSources import vtkLineSource

    line = vtkLineSource()
    line.SetPoint1(*start_lps_mm)
    line.SetPoint2(*end_lps_mm)
    line.SetOutputPointsPrecision(1)
    tube = vtkTubeFilter()
    tube.SetInputConnection(line.GetOutputPort())
    tube.SetRadius(radius_mm)
    tube.SetNumberOfSides(_TUBE_SIDES)
    tube.SetCapping(True)
    tube.SetOutputPointsPrecision(1)
    tube.Update()
    return tube.GetOutput()


def _add_points(model: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    """The first array is what is shown."""
    from vtkmodules.util.numpy_support import numpy_to_vtk

    data = model.GetPointData()
    for name in [data.GetArrayName(n) for n in range(data.GetNumberOfArrays())]:
        data.RemoveArray(name)
    for name, values in arrays.items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        data.AddArray(array)
    data.SetActiveScalars(next(iter(arrays)))


def _write_model(
    model: Any,
    path: Path,
    *,
    plan_sha256: str,
    descriptions: Sequence[str],
    reasons: Sequence[str] = (),
) -> Path:
    from vtkmodules.vtkCommonCore import vtkStringArray
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    texts = {
        "SPACE": ["LPS"],  # 3D Slicer reads the coordinate system here
        PLAN_SHA256: [plan_sha256],
        "DESCRIPTION": list(descriptions),
        "REASONS": list(reasons),
    }
    for name, values in texts.items():
        array = vtkStringArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(value)
        if values:
            model.GetFieldData().AddArray(array)
    writer = vtkXMLPolyDataWriter()
    writer.SetInputData(model)
    writer.SetDataModeToBinary()
    writer.WriteToOutputStringOn()
    writer.Write()
    return write_bytes_atomic(path, writer.GetOutputString().encode("utf-8"))
