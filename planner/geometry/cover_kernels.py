"""The compiled loop of ``resample``: which boxes of one lattice overlap boxes of another."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def cover_boxes(  # type: ignore[no-untyped-def]
    inside, target_from_source, half_extent, axes, reach, out
):  # pragma: no cover - compiled
    """Set ``out`` wherever the box of a set source voxel overlaps a target box.

    Everything is in target index space, where target voxels are unit cubes.

    Parameters
    ----------
    inside : (k, j, i) bool
        Source mask.
    target_from_source : (4, 4)
        Source index to target index.
    half_extent : (3,)
        Half size of the box around a source voxel, along the target axes.
    axes : (m, 3), reach : (m,)
        Separating directions; two boxes are apart when their centres differ by
        ``reach`` or more along one of them.
    out : (k, j, i) bool
        Target mask, changed in place.

    Returns
    -------
    int
        Number of set source voxels whose centre is outside the target volume.
    """
    n_outside = 0
    matrix = target_from_source
    n0, n1, n2 = out.shape
    for a in range(inside.shape[0]):
        for b in range(inside.shape[1]):
            for c in range(inside.shape[2]):
                if not inside[a, b, c]:
                    continue
                x = matrix[0, 0] * a + matrix[0, 1] * b + matrix[0, 2] * c + matrix[0, 3]
                y = matrix[1, 0] * a + matrix[1, 1] * b + matrix[1, 2] * c + matrix[1, 3]
                z = matrix[2, 0] * a + matrix[2, 1] * b + matrix[2, 2] * c + matrix[2, 3]
                if not (-0.5 <= x <= n0 - 0.5 and -0.5 <= y <= n1 - 0.5 and -0.5 <= z <= n2 - 0.5):
                    n_outside += 1
                first0 = max(0, int(np.ceil(x - half_extent[0] - 0.5)))
                first1 = max(0, int(np.ceil(y - half_extent[1] - 0.5)))
                first2 = max(0, int(np.ceil(z - half_extent[2] - 0.5)))
                last0 = min(n0 - 1, int(np.floor(x + half_extent[0] + 0.5)))
                last1 = min(n1 - 1, int(np.floor(y + half_extent[1] + 0.5)))
                last2 = min(n2 - 1, int(np.floor(z + half_extent[2] + 0.5)))
                for p in range(first0, last0 + 1):
                    for q in range(first1, last1 + 1):
                        for r in range(first2, last2 + 1):
                            if out[p, q, r]:
                                continue
                            apart = False
                            for m in range(axes.shape[0]):
                                gap = abs(
                                    axes[m, 0] * (p - x)
                                    + axes[m, 1] * (q - y)
                                    + axes[m, 2] * (r - z)
                                )
                                if gap >= reach[m]:
                                    apart = True
                                    break
                            if not apart:
                                out[p, q, r] = True
    return n_outside
