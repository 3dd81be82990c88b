"""The field map of metal against the usual k-space kernel: time and error on a sphere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import fft

from benchmarks.table import Row, seconds
from planner.geometry import FrameId, Grid
from planner.physics import field_perturbation_ppm

SHAPE = (192, 192, 192)
RADIUS_MM = 9.3
B0 = np.array([0.48, 0.64, 0.6])
GOAL_S = 2.0
LAYER_GOAL_S = 3.0
SAMPLE = Path(__file__).resolve().parent.parent / "sample_data" / "implant"


def run() -> list[Row]:
    """Time for a rod and for metal that spans the grid; error beside the k-space kernel."""
    grid = _grid(SHAPE)
    rod = np.zeros(SHAPE, np.float32)
    rod[94:99, 20:170, 94:99] = 1.0
    corners = np.zeros(SHAPE, np.float32)
    corners[:3, :3, :3] = corners[-3:, -3:, -3:] = 1.0
    rows = []
    for name, chi in (("rod, 150 mm", rod), ("metal in opposite corners", corners)):
        took = seconds(lambda chi=chi: field_perturbation_ppm(chi, grid, B0), repeats=3)
        rows.append(
            Row("field", f"192^3, {name}", f"{took:.2f} s", "", f"<= {GOAL_S:g} s", took <= GOAL_S)
        )
    usual = seconds(lambda: _kspace(rod), repeats=2)
    rows.append(Row("field", "192^3, k-space kernel, padded x 2 (scipy)", f"{usual:.2f} s"))
    ours, theirs = _errors()
    rows.append(
        Row("field", "sphere, oblique B0: error / peak", f"{ours:.2%}", "", "<= 1 %", ours <= 0.01)
    )
    rows.append(Row("field", "the same, k-space kernel", f"{theirs:.2%}"))
    return [*rows, _whole_layer()]


def _whole_layer() -> Row:
    """Screws and rods of the sample study: field, zones, void, every structure swept."""
    from planner.io import load_structures, load_volume
    from planner.protocols import load_protocol, parse_needle
    from planner.safety import resolve_obstacles
    from planner.search.mr_physics import MrPhysics, known_acquisitions

    volume = load_volume(SAMPLE / "dicom")
    structures = load_structures([SAMPLE / "structures.seg.nrrd"], like=volume)
    protocol = load_protocol("transforaminal_epidural")
    plain = resolve_obstacles(structures, protocol)
    needle, known = parse_needle("22G-90"), known_acquisitions(volume, None)
    metals = {"rods": "cobalt-chrome", "screws": "titanium"}
    took = seconds(
        lambda: MrPhysics(volume, structures, plain, needle, known, metals, None), repeats=3
    )
    name = "whole MR layer, sample study, two metals"
    return Row("field", name, f"{took:.2f} s", "", f"<= {LAYER_GOAL_S:g} s", took <= LAYER_GOAL_S)


def _errors() -> tuple[float, float]:
    shape = (64, 64, 64)
    grid = _grid(shape)
    axes = [np.arange(n) - n / 2 + 0.37 for n in shape]
    k, j, i = np.meshgrid(*axes, indexing="ij")
    r = np.sqrt(k * k + j * j + i * i)
    share = np.zeros(shape, np.float32)
    for shift in np.ndindex(5, 5, 5):
        z, y, x = (np.array(shift) + 0.5) / 5 - 0.5
        share += (k + z) ** 2 + (j + y) ** 2 + (i + x) ** 2 <= RADIUS_MM**2
    share /= 125
    cosine = (k * B0[2] + j * B0[1] + i * B0[0]) / r
    truth = (RADIUS_MM / r) ** 3 * (3 * cosine**2 - 1) / 3
    outside = r - RADIUS_MM > 1.0
    peak = 2.0 / 3.0
    ours = np.abs(field_perturbation_ppm(share, grid, B0) - truth)[outside].max() / peak
    theirs = np.abs(_kspace(share) - truth)[outside].max() / peak
    return float(ours), float(theirs)


def _grid(shape: tuple[int, int, int]) -> Grid:
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3)[:, ::-1]
    return Grid(shape_kji=shape, lps_from_kji=matrix, frame=FrameId(None))


def _kspace(chi: np.ndarray) -> np.ndarray:
    """1/3 - (k.b)^2 / k^2, zero-padded to twice the size."""
    shape = tuple(2 * n for n in chi.shape)
    k = fft.fftfreq(shape[0])[:, None, None].astype(np.float32)
    j = fft.fftfreq(shape[1])[None, :, None].astype(np.float32)
    i = fft.rfftfreq(shape[2])[None, None, :].astype(np.float32)
    squared = k * k + j * j + i * i
    squared[0, 0, 0] = 1.0
    kernel = np.float32(1 / 3) - (k * B0[2] + j * B0[1] + i * B0[0]) ** 2 / squared
    kernel[0, 0, 0] = 0.0
    spectrum = fft.rfftn(chi, s=shape, workers=2) * kernel
    field = fft.irfftn(spectrum, s=shape, workers=2)
    return field[tuple(slice(0, n) for n in chi.shape)]
