"""Sub-regions of the vertebrae as SPINEPS / TPTBox label them: parts of each vertebra's voxels.

Those tools give one label per kind of part for all levels together; the level comes from the
vertebra's own label. The pedicles belong to ``Arcus_Vertebrae`` there.
"""

import numpy as np

from sample_data.phantom import spine
from sample_data.phantom.anatomy import Anatomy
from sample_data.phantom.labels import LabelMaps

_SIDED = {
    "transverse": "Costal_Process",
    "superior": "Superior_Articular",
    "inferior": "Inferior_Articular",
}
_PARTS = ("body", "pedicle", "arch", "spinous", "transverse", "superior", "inferior")
_WHOLE = {
    "body": "Vertebra_Corpus",
    "pedicle": "Arcus_Vertebrae",
    "arch": "Arcus_Vertebrae",
    "spinous": "Spinosus_Process",
}


def part_distances(column: spine.Spine, level: str, x, y, z) -> np.ndarray:
    """Distances (mm, 7 x points) to the solids in ``_PARTS`` that a vertebra is built of."""
    v = column.vertebrae[level]
    ax = np.abs(x)
    a, h = v.pose.local(y, z)
    pars, lamina, spinous, transverse = spine.arch_parts(v, ax, a, h)
    above, below = spine.joint_above(level), spine.joint_below(level)
    superior = np.full(np.shape(ax), np.inf)
    if above in column.facets:
        superior = spine.superior_process_distance(column.facets[above], ax, y, z, v.pedicle_x_mm)
    return np.stack(
        [
            spine.body_distance(v, x, a, h),
            spine.pedicle_distance(v, ax, a, h),
            np.minimum(pars, lamina),
            spinous,
            transverse,
            superior,
            spine.inferior_process_distance(column.facets[below], ax, y, z),
        ]
    )


def subregion_masks(anatomy: Anatomy, maps: LabelMaps) -> dict[str, np.ndarray]:
    """TPTBox sub-region name to boolean (k, j, i); together they fill the vertebrae."""
    masks: dict[str, np.ndarray] = {}
    parameters = anatomy.parameters
    for level in anatomy.spine.vertebrae:
        kji = np.argwhere(maps.mask(level))
        if len(kji) == 0:
            continue
        x, y, z = parameters.anatomy_from_lps(maps.grid.lps_from_index(kji)).T
        nearest = part_distances(anatomy.spine, level, x, y, z).argmin(axis=0)
        for n, part in enumerate(_PARTS):
            names = (
                {_WHOLE[part]: x == x}
                if part in _WHOLE
                else {
                    f"{_SIDED[part]}_Left": x > 0.0,
                    f"{_SIDED[part]}_Right": x <= 0.0,
                }
            )
            for name, is_side in names.items():
                mask = masks.setdefault(name, np.zeros(maps.grid.shape_kji, bool))
                mask[tuple(kji[(nearest == n) & is_side].T)] = True
    return {name: mask for name, mask in masks.items() if mask.any()}
