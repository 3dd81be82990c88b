"""Draws the pictures of README and docs from the phantom: ``python docs/make_pictures.py``.

Small PNG files (256 colours), written to ``docs/pictures``.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle
from PIL import Image

import planner
from planner.report import write_figures

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
SAMPLE = ROOT / "sample_data" / "plain"
METAL_TARGET_LPS_MM = (60.0, 38.0, 45.0)
N_COLOURS = 256
WIDTH_PX = 1000

BLUE, GREY, RED = "#1f5fbf", "#777777", "#b00020"


def main() -> None:
    """Writes every picture and says how large it is."""
    PICTURES.mkdir(exist_ok=True)
    _save(_as_image(frames_figure()), PICTURES / "frames.png")
    with tempfile.TemporaryDirectory() as folder:
        for file in write_figures(_planned(), Path(folder), top=1):
            name = {"path_01": "path", "skin_clearance": "skin"}.get(file.stem)
            if name is not None:
                with Image.open(file) as picture:
                    _save(picture.convert("RGB"), PICTURES / f"{name}.png")
    with tempfile.TemporaryDirectory() as folder:
        for file in write_figures(_beside_metal(), Path(folder), top=1):
            if file.stem == "path_01_mr":
                with Image.open(file) as picture:
                    _save(picture.convert("RGB"), PICTURES / "metal.png")


def frames_figure() -> Figure:
    """World axes, index meaning and an oblique grid side by side."""
    figure = Figure(figsize=(12.0, 4.2), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    _draw_world(left)
    _draw_index(middle)
    _draw_oblique(right)
    figure.tight_layout()
    return figure


def _draw_world(axes: Any) -> None:
    """An axial slice seen from the feet, with LPS and RAS axes."""
    axes.set_title("World: LPS, mm (axial, seen from the feet)", fontsize=10)
    axes.add_patch(Ellipse((0, 0), 8.4, 5.8, facecolor="#f3e2d6", edgecolor="black"))
    axes.add_patch(Ellipse((0, -1.6), 1.5, 1.2, facecolor="#dddddd", edgecolor="black"))
    for place, letter in (((4.7, 0), "L"), ((-4.7, 0), "R"), ((0, 3.4), "A"), ((0, -3.4), "P")):
        axes.text(*place, letter, ha="center", va="center", fontsize=14, weight="bold")
    _arrow(axes, (0, 0), (2.6, 0), BLUE, "+x to the left", (1.75, 0.42))
    _arrow(axes, (0, 0), (0, -2.4), BLUE, "+y to the back", (2.15, -1.5))
    axes.text(-0.3, 0.25, "+z to the head,\ninto the page", color=BLUE, ha="right", fontsize=8)
    axes.plot(0, 0, marker="x", color=BLUE, markersize=9)
    axes.text(0, 1.75, "RAS = (-x, -y, z)", color=GREY, ha="center", fontsize=8)
    axes.set(xlim=(-5.2, 5.2), ylim=(-4.4, 4.4), aspect="equal")
    axes.axis("off")


def _draw_index(axes: Any) -> None:
    """Voxels as boxes around integer indices."""
    axes.set_title("Index: an integer is a voxel centre", fontsize=10)
    for j in range(3):
        for i in range(4):
            axes.add_patch(Rectangle((i - 0.5, j - 0.5), 1, 1, facecolor="none", edgecolor=GREY))
            axes.plot(i, j, marker="o", color=BLUE, markersize=4)
    axes.add_patch(Rectangle((1.5, 0.5), 1, 1, facecolor="#cfe0f7", edgecolor=BLUE, linewidth=2))
    axes.text(2, 1.3, "[k,1,2]", ha="center", va="center", color=BLUE, fontsize=8)
    axes.annotate(
        "box: 1.5 .. 2.5\nalong i",
        (2.5, 1.0),
        (3.62, 0.75),
        fontsize=8,
        color=RED,
        arrowprops={"arrowstyle": "->", "color": RED},
    )
    for i, place in enumerate((-0.5, 3.5)):
        axes.text(place, -0.62, ("-0.5", "n - 0.5")[i], ha="center", fontsize=8, color=RED)
    _arrow(axes, (-0.5, 2.85), (1.2, 2.85), "black", "i: along a row", (2.2, 2.92))
    _arrow(axes, (-0.85, -0.5), (-0.85, 1.2), "black", "j: down\na column", (-1.5, 1.75))
    axes.set(xlim=(-2.2, 5.3), ylim=(3.9, -2.3), aspect="equal")
    axes.axis("off")


def _draw_oblique(axes: Any) -> None:
    """An oblique grid in the world, and the rigid map to millimetre axes."""
    axes.set_title("Grid: lps = M [k, j, i, 1]", fontsize=10)
    tilt = np.radians(18.0)
    along, across = np.array([np.cos(tilt), np.sin(tilt)]), np.array([-np.sin(tilt), np.cos(tilt)])
    origin = np.array([0.6, 0.2])
    for k in range(4):
        for i in range(5):
            corner = origin + along * (i - 0.5) * 0.8 + across * (k - 0.5) * 1.2
            axes.add_patch(
                Rectangle(
                    tuple(corner), 0.8, 1.2, angle=18.0, facecolor="none", edgecolor=GREY, zorder=1
                )
            )
    axes.plot(*origin, marker="o", color=BLUE, markersize=5)
    axes.text(
        1.0, -1.1, "dot: centre of voxel [0, 0, 0],\nthe last column of M", color=BLUE, fontsize=8
    )
    _arrow(axes, origin, origin + along * 2.4, BLUE, "i", (3.05, 1.2))
    _arrow(axes, origin, origin + across * 2.4, BLUE, "k", (-0.3, 2.6))
    start = np.array([-1.8, -1.0])
    _arrow(axes, start, (start[0] + 1.3, start[1]), "black", "x", (-0.3, -1.0))
    _arrow(axes, start, (start[0], start[1] + 1.3), "black", "z", (-1.8, 0.55))
    axes.set(xlim=(-2.4, 5.6), ylim=(-1.5, 5.3), aspect="equal")
    axes.axis("off")


def _arrow(
    axes: Any, start: Any, end: Any, colour: str, text: str, place: tuple[float, float]
) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.8}
    axes.annotate("", tuple(end), tuple(start), arrowprops=style)
    axes.text(*place, text, color=colour, ha="center", va="center", fontsize=8)


def _planned() -> Any:
    """The plan of the README's example."""
    volume = planner.load_volume(SAMPLE / "dicom")
    structures = planner.load_structures(SAMPLE / "structures.seg.nrrd", like=volume)
    foramen = planner.find_region("foramen:L4-L5:left:upper", structures)
    procedure = "transforaminal_epidural"
    return planner.plan(volume, None, procedure, structures, "22G-90", top=3, region=foramen)


def _beside_metal() -> Any:
    """The plan beside screws and rods of the README."""
    study = SAMPLE.parent / "implant"
    volume = planner.load_volume(study / "dicom")
    roles = {"rods": "implant", "screws": "implant"}
    structures = planner.load_structures(study / "structures.seg.nrrd", like=volume, roles=roles)
    metals = {"rods": "cobalt-chrome", "screws": "titanium"}
    return planner.plan(
        volume, METAL_TARGET_LPS_MM, "soft_tissue_biopsy", structures, implants=metals, top=1
    )


def _as_image(figure: Figure) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def _palette(picture: Image.Image) -> Image.Image:
    """Half the colours for what is frequent (greys), half for what is rare (outlines)."""
    colours: list[int] = []
    for method in (Image.Quantize.MEDIANCUT, Image.Quantize.MAXCOVERAGE):
        found = picture.quantize(N_COLOURS // 2, method=method).getpalette() or []
        colours += found[: 3 * N_COLOURS // 2]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours)
    return palette


def _save(picture: Image.Image, path: Path) -> None:
    if picture.width > WIDTH_PX:
        height = round(picture.height * WIDTH_PX / picture.width)
        picture = picture.resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
    small = picture.quantize(palette=_palette(picture), dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
