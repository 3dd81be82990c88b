"""Small scenes of the phantom for tests: image, masks named as segmenters do, and anatomy.

A scene is a field of view of one patient on an oblique, anisotropic grid. The trunk scenes
share one anatomy; limb, hip and shoulder have their own. The image is quick and plain: tissue
signal, coil shading and noise, no partial volume.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from sample_data.phantom.anatomy import Anatomy, build_anatomy
from sample_data.phantom.hip import build_hip
from sample_data.phantom.labels import LabelMaps, rasterise
from sample_data.phantom.limb import build_limb
from sample_data.phantom.parameters import (
    AcquisitionParameters,
    PhantomGrid,
    PhantomParameters,
    acquisition_grid,
)
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.shoulder import build_shoulder
from sample_data.phantom.subregions import subregion_masks
from sample_data.phantom.tissues import SIGNAL

NOISE_SIGMA = 6.0
SHADING_FRAC = 0.25
SHADING_LENGTH_MM = 190.0
UPPER_LEVELS = ("T12", "L1", "L2", "L3", "L4", "L5")


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneScan:
    """How the scene is scanned: slice tilts (deg) and a factor on the voxel size."""

    tilt_about_left_deg: float = 9.0
    tilt_about_posterior_deg: float = 3.0
    coarser: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOfView:
    """A box in anatomy coordinates (mm), before the slices are tilted, and its voxels."""

    low_mm: tuple[float, float, float]
    high_mm: tuple[float, float, float]
    pixel_mm: float = 1.7
    slice_step_mm: float = 3.0

    def grid(self, parameters: PhantomParameters, scan: SceneScan) -> PhantomGrid:
        """The scan's grid; a larger patient gets a larger field of view, not larger voxels."""
        low, high = np.asarray(self.low_mm), np.asarray(self.high_mm)
        step = np.array([self.slice_step_mm, self.pixel_mm, self.pixel_mm]) * scan.coarser
        shape = np.ceil(((high - low) * parameters.scale)[::-1] / step).astype(int)
        acquisition = AcquisitionParameters(
            shape_kji=tuple(shape.tolist()),
            pixel_mm=float(step[1]),
            slice_step_mm=float(step[0]),
            slice_thickness_mm=float(step[0]),
            tilt_about_left_deg=scan.tilt_about_left_deg,
            tilt_about_posterior_deg=scan.tilt_about_posterior_deg,
            centre_anatomy_mm=tuple(((low + high) / 2).tolist()),
        )
        return acquisition_grid(parameters, acquisition)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneImage:
    """One scene: stored values (k, j, i) uint16, masks by name, and what it was made from."""

    name: str
    anatomy: Anatomy
    maps: LabelMaps
    values: np.ndarray
    masks: dict[str, np.ndarray]

    @property
    def grid(self) -> PhantomGrid:
        """Grid of the image and of every mask."""
        return self.maps.grid


TRUNK_VIEWS = {
    "lumbar": FieldOfView(low_mm=(-128.0, -66.0, -92.0), high_mm=(128.0, 116.0, 66.0)),
    "pelvis": FieldOfView(low_mm=(-122.0, -36.0, -178.0), high_mm=(122.0, 116.0, -34.0)),
    "upper_lumbar": FieldOfView(low_mm=(-128.0, -66.0, 62.0), high_mm=(128.0, 120.0, 176.0)),
}
_MERGED = {
    "autochthon": ("erector_spinae", "multifidus"),
    "iliopsoas": ("psoas", "iliacus"),
}
_RENAMED = {"bladder": "urinary_bladder", "disc_L5_S1": "disc_L5_S"}
_RENAMED_SIDED = {"ilium": "hip", "iliac_vein": "iliac_vena"}


def trunk_scene(view: str, patient: ScenePatient, scan: SceneScan) -> SceneImage:
    """One of ``TRUNK_VIEWS`` of the patient."""
    anatomy = _trunk_anatomy(patient)
    maps = rasterise(anatomy, TRUNK_VIEWS[view].grid(patient, scan))
    masks = segmenter_masks(maps) | subregion_masks(anatomy, maps)
    return SceneImage(
        name=view, anatomy=anatomy, maps=maps, values=plain_signal(maps, patient.seed), masks=masks
    )


@lru_cache(maxsize=4)
def _trunk_anatomy(patient: ScenePatient) -> Anatomy:
    return build_anatomy(patient)


def segmenter_masks(maps: LabelMaps) -> dict[str, np.ndarray]:
    """Masks with the names of TotalSegmentator and TotalSpineSeg, as far as they have one."""
    masks: dict[str, np.ndarray] = {}
    body = maps.mask("body")
    for name in maps.names:
        mask = maps.mask(name) & body  # muscles touch the skin in the natal cleft
        new = segmenter_name(name)
        masks[new] = masks[new] | mask if new in masks else mask
    return masks


def segmenter_name(name: str) -> str:
    """Name of a phantom structure in the scenes: ``"L4"`` is ``"vertebrae_L4"``."""
    if name in UPPER_LEVELS:
        return f"vertebrae_{name}"
    if name in _RENAMED:
        return _RENAMED[name]
    stem, _, side = name.rpartition("_")
    if side not in {"left", "right"}:
        return name
    stem = _RENAMED_SIDED.get(stem, stem)
    stem = next((whole for whole, parts in _MERGED.items() if stem in parts), stem)
    return f"{stem}_{side}"


def plain_signal(maps: LabelMaps, seed: int) -> np.ndarray:
    """Stored values (k, j, i) uint16: tissue signal, brighter at the back, Rician noise."""
    rng = np.random.default_rng(seed)
    mean_of = np.zeros(max(SIGNAL) + 1, np.float32)
    for tissue, values in SIGNAL.items():
        mean_of[tissue] = values.mean
    rows = np.arange(maps.grid.shape_kji[1], dtype=np.float32) * maps.grid.spacing_kji_mm[1]
    shading = 1.0 + SHADING_FRAC * np.exp(-((rows / SHADING_LENGTH_MM) ** 2))
    signal = ndimage.gaussian_filter(mean_of[maps.tissue] * shading[:, None], (0.0, 0.4, 0.4))
    noise = NOISE_SIGMA * rng.standard_normal((2, *signal.shape), dtype=np.float32)
    return np.rint(np.hypot(signal + noise[0], noise[1])).astype(np.uint16)


LIMB_VIEWS = {
    "limb": FieldOfView(
        low_mm=(-96.0, -104.0, -140.0),
        high_mm=(96.0, 110.0, 108.0),
        pixel_mm=1.8,
        slice_step_mm=3.2,
    ),
    "hip": FieldOfView(low_mm=(-66.0, -106.0, -62.0), high_mm=(112.0, 62.0, 62.0)),
    "shoulder": FieldOfView(low_mm=(-92.0, -100.0, -72.0), high_mm=(78.0, 76.0, 78.0)),
}
_LIMB_BUILDERS = {"limb": build_limb, "hip": build_hip, "shoulder": build_shoulder}


def limb_scene(view: str, patient: ScenePatient, scan: SceneScan) -> SceneImage:
    """One of ``LIMB_VIEWS`` of the patient: left thigh, hip or shoulder, supine."""
    anatomy = _LIMB_BUILDERS[view](patient)
    maps = rasterise(anatomy, LIMB_VIEWS[view].grid(patient, scan))
    return SceneImage(
        name=view,
        anatomy=anatomy,
        maps=maps,
        values=plain_signal(maps, patient.seed),
        masks=segmenter_masks(maps),
    )
