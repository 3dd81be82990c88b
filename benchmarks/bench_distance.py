"""Distance field against scipy, SimpleITK and edt, 320 x 320 x 160 at 0.8 x 0.8 x 1.2 mm."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from benchmarks.scene import SPACING_KJI_MM, blobs
from benchmarks.table import Row, print_table, seconds
from planner.geometry.distance import distance_to_mask_mm
from planner.geometry.threads import use_threads

CAP_MM = 20.0


def run() -> list[Row]:
    import edt
    import SimpleITK as sitk  # noqa: N813

    inside = blobs()

    def maurer() -> np.ndarray:
        image = sitk.GetImageFromArray(inside.astype(np.uint8))
        image.SetSpacing(SPACING_KJI_MM[::-1])
        field = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
        return np.maximum(sitk.GetArrayFromImage(field), 0)

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(2)
    with use_threads(2):
        ours = seconds(lambda: distance_to_mask_mm(inside, SPACING_KJI_MM, CAP_MM))
    with use_threads(1):
        ours_single = seconds(lambda: distance_to_mask_mm(inside, SPACING_KJI_MM, CAP_MM))
    itk = seconds(maurer)
    lgpl = seconds(
        lambda: edt.edt(
            (~inside).astype(np.uint8), anisotropy=SPACING_KJI_MM, black_border=False, parallel=2
        ),
        3,
    )
    scipy = seconds(lambda: ndimage.distance_transform_edt(~inside, sampling=SPACING_KJI_MM), 1)
    truth = ndimage.distance_transform_edt(~inside, sampling=SPACING_KJI_MM)
    found = distance_to_mask_mm(inside, SPACING_KJI_MM, CAP_MM)
    error = float(np.abs(found - np.minimum(truth, CAP_MM)).max())
    return [
        Row("distance", "ours, capped at 20 mm, 2 threads", f"{ours * 1e3:.0f} ms"),
        Row("distance", "ours, 1 thread", f"{ours_single * 1e3:.0f} ms"),
        _against("SimpleITK SignedMaurer, 2 threads", itk, ours, 6.0),
        _against("PyPI edt, 2 threads (bench only)", lgpl, ours, None),
        _against("scipy distance_transform_edt", scipy, ours, 25.0),
        Row(
            "distance",
            "largest difference to scipy",
            f"{error:.1e} mm",
            "",
            "<= 1e-4 mm",
            error <= 1e-4,
        ),
    ]


def _against(name: str, other: float, ours: float, goal: float | None) -> Row:
    ratio = other / ours
    if goal is None:
        return Row("distance", name, f"{other * 1e3:.0f} ms", f"{ratio:.1f} x")
    return Row(
        "distance", name, f"{other * 1e3:.0f} ms", f"{ratio:.1f} x", f">= {goal:g} x", ratio >= goal
    )


if __name__ == "__main__":
    print_table(run())
