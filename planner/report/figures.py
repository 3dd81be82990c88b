"""All pictures of a plan, written to a folder."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path

from planner.errors import PlannerWarning
from planner.model import PlanResult
from planner.progress import ProgressCallback, no_progress
from planner.report.files import make_folder, png_bytes, write_png
from planner.report.html_parts import Picture
from planner.report.mr_figure import metal_figure, metal_pictures
from planner.report.panel import panel_figure
from planner.report.panel_view import panel_scene
from planner.report.skin_view import skin_figures

STAGE = "figures"


def path_pictures(result: PlanResult, *, top: int, without: Collection[str] = ()) -> list[Picture]:
    """Panels of the first paths as pictures, but for those whose names are given.

    Beside metal the picture of the field is left out: it needs the field, which is known
    only while planning.
    """
    scene = panel_scene(result)
    return [
        Picture(name=name, content=png_bytes(panel_figure(scene, path)))
        for path in result.trajectories[: max(top, 0)]
        if (name := f"path_{path.rank:02d}") not in without
    ]


def write_figures(
    result: PlanResult,
    out_dir: Path,
    *,
    top: int,
    progress: ProgressCallback | None = None,
) -> list[Path]:
    """The PNG files written: one panel per top path, then the skin in two colourings.

    A path beside metal has a second picture of the field and its zones.

    Parameters
    ----------
    result : PlanResult
    out_dir : Path
        Made where it does not exist.
    top : int
        Panels are drawn of the first ``top`` trajectories.
    progress : callable, optional

    Returns
    -------
    list of Path
        ``path_01.png`` ..., ``path_01_mr.png`` after each where metal shifts or hides
        the image near the path, ``skin_clearance.png``, ``skin_rejection.png``. Each
        file appears whole or not at all.

    Raises
    ------
    OutputError
        If a file cannot be written.

    Warns
    -----
    PlannerWarning
        If the skin cannot be drawn (no body mask, no OpenGL): those two are left out.
    """
    report = progress or no_progress
    out_dir = Path(out_dir)
    make_folder(out_dir)
    paths = result.trajectories[: max(top, 0)]
    n_steps = len(paths) + 1
    written = []
    report(STAGE, 0.0)
    scene = panel_scene(result)
    metal = metal_pictures(scene)
    for done, path in enumerate(paths, start=1):
        figure = panel_figure(scene, path)
        written.append(write_png(figure, out_dir / f"path_{path.rank:02d}.png"))
        beside_metal = None if metal is None else metal_figure(metal, path)
        if beside_metal is not None:
            written.append(write_png(beside_metal, out_dir / f"path_{path.rank:02d}_mr.png"))
        report(STAGE, done / n_steps)
    try:
        for name, figure in skin_figures(result, top=max(top, 0)).items():
            written.append(write_png(figure, out_dir / f"{name}.png"))
    except PlannerWarning as warning:
        warnings.warn(warning, stacklevel=2)
    report(STAGE, 1.0)
    return written
