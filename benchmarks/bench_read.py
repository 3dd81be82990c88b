"""Reading a series, checks included, beside SimpleITK's own series reader.

Goal (docs, speed): at most 1.5 times SimpleITK, 160 slices of 320 x 320.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from planner.geometry import FrameId, Grid
from planner.io import load_volume

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.dicom_writer import write_series

N_REPEATS = 7
"""The best of so many, taken in turns, so that a busy machine slows both alike."""


class Row(NamedTuple):
    """One measurement; ``ratio`` is to SimpleITK reading files it was given in order."""

    name: str
    seconds: float
    ratio: float


def run() -> list[Row]:
    import SimpleITK as sitk  # noqa: N813

    grid = Grid.from_axes((160, 320, 320), (1.2, 0.8, 0.8), (-99, -128, 40), None, FrameId("1.2"))
    pixels = np.random.default_rng(1).integers(0, 900, grid.shape_kji).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        write_series(Path(folder), grid, pixels)
        names = list(load_volume(folder).source.files)

        def given_names() -> None:
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(names)
            reader.Execute()

        def finding_names() -> None:
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
            reader.Execute()

        contestants: dict[str, Callable[[], object]] = {
            "SimpleITK, files given in order": given_names,
            "SimpleITK, folder": finding_names,
            "planner.load_volume, folder, all checks": lambda: load_volume(folder),
        }
        best = dict.fromkeys(contestants, float("inf"))
        for _ in range(N_REPEATS):
            for name, read in contestants.items():
                start = time.perf_counter()
                read()
                best[name] = min(best[name], time.perf_counter() - start)
    base = best["SimpleITK, files given in order"]
    return [Row(name, seconds, seconds / base) for name, seconds in best.items()]


if __name__ == "__main__":
    for row in run():
        print(f"{row.name:42s} {row.seconds:7.3f} s {row.ratio:6.2f} x")
