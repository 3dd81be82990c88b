"""Metal given as cylinders in a TOML file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planner.errors import MaskError
from planner.geometry import Grid, ImageSource, Volume
from planner.io import load_structures
from planner.model import StructureRole
from planner.physics.metal_share import share_of_cylinders
from tests.grids import ORIENTED_AXES

ROD = """
[[rods]]
name = "{name}"
start_lps_mm = [{start}]
end_lps_mm = [{end}]
diameter_mm = {diameter}
"""
HEAD = 'schema = "needle-rods/1"\n'
START, END, DIAMETER_MM = np.array([-8.0, 3.0, -9.0]), np.array([7.0, -5.0, 10.0]), 5.5


def rod_text(name="rods", start=START, end=END, diameter=DIAMETER_MM):
    def listed(point):
        return ", ".join(repr(float(v)) for v in point)

    return ROD.format(name=name, start=listed(start), end=listed(end), diameter=diameter)


def image(axes: str = "oblique_flipped") -> Volume:
    shape, spacing = (16, 40, 44), np.array([3.0, 0.9, 1.1])
    loose = Grid.from_axes(shape, spacing, (0, 0, 0), ORIENTED_AXES[axes])
    grid = Grid.from_axes(shape, spacing, -loose.centre_lps_mm, ORIENTED_AXES[axes])
    return Volume(grid=grid, values=np.zeros(shape, np.int16), source=ImageSource(modality="MR"))


def write(folder: Path, text: str) -> Path:
    file = folder / "metal.toml"
    file.write_text(text, encoding="utf-8")
    return file


def load(file: Path, volume: Volume, **roles):
    return load_structures([file], like=volume, roles=roles or {"rods": "implant"})


@pytest.mark.parametrize("axes", sorted(ORIENTED_AXES))
def test_no_voxel_that_the_rod_touches_is_missing_and_few_others_are_set(tmp_path, axes):
    volume = image(axes)
    rods = load(write(tmp_path, HEAD + rod_text()), volume)["rods"]
    rng = np.random.default_rng(1)
    along = END - START
    length = np.linalg.norm(along)
    side = np.cross(along / length, [1.0, 0, 0])
    side /= np.linalg.norm(side)
    other = np.cross(along / length, side)
    angle, radius = rng.uniform(0, 2 * np.pi, 40_000), np.sqrt(rng.uniform(0, 1, 40_000))
    place = rng.uniform(0, 1, 40_000)
    points = START + place[:, None] * along
    points += (DIAMETER_MM / 2 * radius)[:, None] * (
        np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other
    )
    assert rods.mask.contains(points).all()
    set_lps = volume.grid.to_lps(np.argwhere(rods.mask.inside))
    t = np.clip((set_lps - START) @ along / length**2, 0, 1)
    off = np.linalg.norm(set_lps - START - t[:, None] * along, axis=1) - DIAMETER_MM / 2
    assert off.max() <= rods.source.grown_mm


def test_the_exact_shape_is_kept_for_the_field(tmp_path):
    volume = image()
    rods = load(write(tmp_path, HEAD + rod_text()), volume)["rods"]
    assert rods.role is StructureRole.IMPLANT and rods.source.kind == "rods"
    share = share_of_cylinders(rods.rods, volume.grid)
    volume_mm3 = np.pi * DIAMETER_MM**2 / 4 * np.linalg.norm(END - START)
    assert share.sum() * volume.grid.voxel_volume_mm3 == pytest.approx(volume_mm3, rel=0.02)
    assert rods.mask.volume_mm3 > 1.3 * volume_mm3


def test_rods_of_one_name_are_one_structure(tmp_path):
    text = HEAD + rod_text("a") + rod_text("b", start=END, end=END + 6) + rod_text("a", diameter=3)
    structures = load(write(tmp_path, text), image(), a="implant", b="implant")
    assert list(structures) == ["a", "b"]
    assert len(structures["a"].rods) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "schema"),
        (HEAD, "rods"),
        (HEAD.replace("/1", "/9") + rod_text(), "schema"),
        (HEAD + rod_text(diameter=float("nan")), "diameter_mm"),
        (HEAD + rod_text(diameter=0), "diameter_mm"),
        (HEAD + rod_text(end=START), "0.1 mm apart"),
        (HEAD + rod_text(start=(np.inf, 0, 0)), "start_lps_mm"),
        (HEAD + rod_text().replace("diameter_mm", "diametre_mm"), "diameter_mm"),
        (HEAD + rod_text(name=""), "name"),
        ("[[rods", "not TOML"),
    ],
)
def test_what_is_no_rod_is_refused_with_its_file(tmp_path, text, says):
    with pytest.raises(MaskError, match=says) as caught:
        load(write(tmp_path, text), image())
    assert "metal.toml" in str(caught.value)


def test_a_rod_outside_the_image_is_refused(tmp_path):
    away = HEAD + rod_text(start=START + 500, end=END + 500)
    with pytest.raises(MaskError):
        load(write(tmp_path, away), image())
