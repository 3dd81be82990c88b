"""Compiled kernels of the entry candidates. Arrays are [k, j, i]; faces -k +k -j +j -i +i."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.geometry.frames import FloatArray
from planner.skin.kernels import ByteArray, ImageArray, IntArray, compiled


@compiled
def face_bits(
    inside: NDArray[np.bool_],
    roomy: ByteArray,
    ahead: IntArray,
    faces: IntArray,
    box: IntArray,
) -> tuple[IntArray, ByteArray]:  # pragma: no cover
    """Surface voxels and face bits; ``roomy`` is 2 at centres of balls from outside."""
    nk, nj, ni = inside.shape
    voxel = np.empty((4096, 3), dtype=np.int64)
    bits = np.empty(4096, dtype=np.uint8)
    n = 0
    for k in range(box[0, 0], box[0, 1]):
        for j in range(box[1, 0], box[1, 1]):
            for i in range(box[2, 0], box[2, 1]):
                if not inside[k, j, i]:
                    continue
                if (
                    0 < k < nk - 1
                    and 0 < j < nj - 1
                    and 0 < i < ni - 1
                    and inside[k, j, i - 1]
                    and inside[k, j, i + 1]
                    and inside[k, j - 1, i]
                    and inside[k, j + 1, i]
                    and inside[k - 1, j, i]
                    and inside[k + 1, j, i]
                ):
                    continue
                found = 0
                for f in range(6):
                    a, b, c = k + faces[f, 0], j + faces[f, 1], i + faces[f, 2]
                    if not (0 <= a < nk and 0 <= b < nj and 0 <= c < ni):
                        continue
                    if inside[a, b, c]:
                        continue
                    for m in range(ahead.shape[1]):
                        p, q, r = a + ahead[f, m, 0], b + ahead[f, m, 1], c + ahead[f, m, 2]
                        if 0 <= p < nk and 0 <= q < nj and 0 <= r < ni and roomy[p, q, r] == 2:
                            found |= 1 << f
                            break
                if found:
                    if n == bits.size:
                        more = np.empty((2 * n, 3), dtype=np.int64)
                        more[:n] = voxel
                        voxel = more
                        wider = np.empty(2 * n, dtype=np.uint8)
                        wider[:n] = bits
                        bits = wider
                    voxel[n, 0], voxel[n, 1], voxel[n, 2] = k, j, i
                    bits[n] = found
                    n += 1
    return voxel[:n], bits[:n]


@compiled
def face_offsets(
    bits: ByteArray, normals: FloatArray, offsets: FloatArray
) -> FloatArray:  # pragma: no cover
    """Of the exposed faces' ``offsets`` (6, 3), the one best aligned with each normal."""
    out = np.zeros(normals.shape)
    for n in range(bits.size):
        best = -np.inf
        for f in range(6):
            if bits[n] >> f & 1:
                axis = f // 2
                along = normals[n, axis] if f % 2 else -normals[n, axis]
                if along > best:
                    best = along
                    for a in range(3):
                        out[n, a] = offsets[f, a]
    return out


@compiled
def gradients(smooth: ImageArray, at: FloatArray) -> FloatArray:  # pragma: no cover
    """Central differences per voxel step at continuous indices, trilinear."""
    out = np.zeros(at.shape)
    for n in range(at.shape[0]):
        k0, j0, i0 = int(at[n, 0]), int(at[n, 1]), int(at[n, 2])
        fk, fj, fi = at[n, 0] - k0, at[n, 1] - j0, at[n, 2] - i0
        for dk in range(2):
            wk = fk if dk else 1.0 - fk
            for dj in range(2):
                wj = fj if dj else 1.0 - fj
                for di in range(2):
                    w = wk * wj * (fi if di else 1.0 - fi)
                    if w == 0.0:
                        continue
                    k, j, i = k0 + dk, j0 + dj, i0 + di
                    out[n, 0] += w * (smooth[k + 1, j, i] - smooth[k - 1, j, i]) * 0.5
                    out[n, 1] += w * (smooth[k, j + 1, i] - smooth[k, j - 1, i]) * 0.5
                    out[n, 2] += w * (smooth[k, j, i + 1] - smooth[k, j, i - 1]) * 0.5
    return out


@compiled
def thin(
    points: FloatArray, key: IntArray, steps: IntArray, least2: float
) -> NDArray[np.bool_]:  # pragma: no cover
    """Greedy choice of points: ``key`` is a point's cell, ``steps`` lead to the cells around it."""
    keep = np.zeros(points.shape[0], dtype=np.bool_)
    chosen = dict()  # noqa: C408 - numba infers the type of the dict from use
    chosen[np.int64(-1)] = np.int64(-1)
    for n in range(points.shape[0]):
        ok = True
        for s in range(steps.size):
            near = key[n] + steps[s]
            if near in chosen:
                m = chosen[near]
                d2 = 0.0
                for a in range(3):
                    d2 += (points[n, a] - points[m, a]) ** 2
                if d2 < least2:
                    ok = False
                    break
        if ok:
            keep[n] = True
            chosen[key[n]] = np.int64(n)
    return keep
