"""The skin as a surface coloured by what the search found, with the top needles.

VTK renders in a child process (see ``_offscreen.py``): without OpenGL libraries
it does not raise but kills its process. The picture is then skipped with a warning.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from planner.errors import PlannerWarning
from planner.model import PlanResult, Trajectory
from planner.report import _offscreen
from planner.report.body import body_of
from planner.report.skin_camera import PICTURE_PX, SkinCamera, hub_lps_mm, skin_camera
from planner.report.skin_colours import clearance_colours, clearance_norm, reason_colours, rgb
from planner.report.skin_figure import clearance_legend, reason_legend, skin_figure
from planner.report.skin_values import skin_values
from planner.report.style import MATPLOTLIB_STYLE
from planner.report.surface import Surface, mask_surface

RENDER_TIMEOUT_S = 120.0
TUBE_RADIUS_MM = 0.8
"""Needles are drawn at least this thick, to be seen."""

BACKGROUND = "#ffffff"
TUBE_COLOUR = "#1b1b1b"


def skin_figures(result: PlanResult, *, top: int) -> dict[str, Figure]:
    """Pictures ``skin_clearance`` and ``skin_rejection``, not yet written.

    Raises
    ------
    PlannerWarning
        If there is no body mask, or this machine cannot render.
    """
    mask = body_of(result)
    if mask is None:
        raise PlannerWarning("no picture of the skin: the plan holds no body mask")
    surface = mask_surface(mask)
    if len(surface.triangles) == 0:
        raise PlannerWarning("no picture of the skin: the body mask is empty")
    values = skin_values(result.candidates, surface.vertices_lps_mm, mask.grid, result.imaged)
    norm = clearance_norm(values)
    colours = [clearance_colours(values, norm), reason_colours(values)]
    camera = skin_camera(result, surface)
    paths = result.trajectories[:top]
    pictures = render_offscreen(render_scene(result, surface, colours, camera, paths))
    drawn = {}
    for name, picture in zip(("skin_clearance", "skin_rejection"), pictures, strict=True):
        with mpl.rc_context(MATPLOTLIB_STYLE):
            figure = skin_figure(result, picture, camera, paths)
            if name == "skin_clearance":
                clearance_legend(figure, values, norm)
            else:
                reason_legend(figure, values)
        drawn[name] = figure
    return drawn


def render_offscreen(scene: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Pictures, shape (n, rows, columns, 3), rendered by a child process.

    Raises
    ------
    PlannerWarning
        If the child dies or does not finish: no OpenGL on this machine.
    """
    with tempfile.TemporaryDirectory(prefix="needle-planner-") as folder:
        scene_file, picture_file = Path(folder, "scene.npz"), Path(folder, "pictures.npy")
        np.savez(scene_file, allow_pickle=False, **scene)
        command = [sys.executable, "-P", str(_offscreen.__file__), str(scene_file)]
        try:
            done = subprocess.run(
                [*command, str(picture_file)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=RENDER_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PlannerWarning(f"no picture of the skin: rendering failed ({error})") from error
        if done.returncode != 0 or not picture_file.is_file():
            raise PlannerWarning(
                "no picture of the skin: off-screen rendering does not work on this machine "
                f"(exit code {done.returncode}). VTK needs OpenGL libraries; on Debian or Ubuntu "
                "install libegl1 and libgl1-mesa-dri."
            )
        return np.asarray(np.load(picture_file, allow_pickle=False))


def render_scene(
    result: PlanResult,
    surface: Surface,
    colours: Sequence[NDArray[np.uint8]],
    camera: SkinCamera,
    paths: Sequence[Trajectory],
) -> dict[str, NDArray[Any]]:
    """What the child process needs, see ``_offscreen.render``."""
    far_mm = 10 * camera.height_mm
    tubes = [[path.entry_lps_mm, hub_lps_mm(result, path)] for path in paths]
    return {
        "vertices_mm": surface.vertices_lps_mm,
        "triangles": surface.triangles,
        "colours": np.stack(colours),
        "tubes_mm": np.array(tubes, dtype=np.float64).reshape(-1, 2, 3),
        "tube_colours": np.tile(rgb(TUBE_COLOUR), (len(paths), 1)),
        "tube_radius_mm": np.array(max(TUBE_RADIUS_MM, result.needle.radius_mm)),
        "camera_mm": np.stack(
            [
                camera.focus_lps_mm + far_mm * camera.towards_viewer_lps,
                camera.focus_lps_mm,
                camera.up_lps,
            ]
        ),
        "height_mm": np.array(camera.height_mm),
        "size_px": np.array(PICTURE_PX),
        "background": rgb(BACKGROUND),
    }
