"""Two patients on two scans, and checks that every scene of the phantom passes."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np

from planner.skin import find_body
from sample_data.phantom.scenes import SceneScan
from tests.phantom_scenes import Scene

SMALL = {"scale": 0.9, "lordosis_factor": 1.1, "origin_lps_mm": (-12.0, 25.0, -310.0)}
LARGE = {"scale": 1.1, "lordosis_factor": 0.85}
COARSE = 1.35
STEEP = SceneScan(tilt_about_left_deg=-14.0, tilt_about_posterior_deg=-5.0, coarser=COARSE)
LEVEL = SceneScan(tilt_about_left_deg=9.0, coarser=COARSE)
CASES = [(LARGE, LEVEL), (SMALL, STEEP)]
IDS = ["large, tilted cranially", "small, tilted caudally"]
OVERLAPPING = (
    "body", "spinal_canal", "spinal_cord", "abscess", "paraspinal_cyst", "lesion_*", "bone_lesion",
    "nidus", "bone_cyst", "osteochondral_lesion", "soft_tissue_tumour", "physeal_bar",
)  # fmt: skip
SUBREGIONS = (
    "Vertebra_Corpus", "Arcus_Vertebrae", "Spinosus_Process",
    "Costal_Process_Left", "Costal_Process_Right",
    "Superior_Articular_Left", "Superior_Articular_Right",
    "Inferior_Articular_Left", "Inferior_Articular_Right",
)  # fmt: skip


def voxel_mm(scene: Scene) -> float:
    return float(scene.volume.grid.spacing_kji_mm.max())


def check_body(scene: Scene) -> None:
    found = find_body(scene.volume)
    true = scene.masks["body"].inside
    both = 2 * (found.mask.inside & true).sum() / (found.mask.inside.sum() + true.sum())
    assert both > 0.995
    assert not found.findings, "the skin is not in doubt"


def check_labels(scene: Scene) -> None:
    count = np.zeros(scene.volume.grid.shape_kji, int)
    for name, mask in scene.masks.items():
        if name in SUBREGIONS or any(fnmatchcase(name, p) for p in OVERLAPPING):
            continue
        count += mask.inside
    assert count.max() == 1
    assert not (count.astype(bool) & ~scene.masks["body"].inside).any()
