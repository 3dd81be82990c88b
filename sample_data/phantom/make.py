"""Make the sample studies: ``python -m sample_data.phantom.make [--variant plain|implant|all]``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from sample_data.phantom import implants, metal, truth, write
from sample_data.phantom.anatomy import Anatomy, build_anatomy
from sample_data.phantom.labels import LabelMaps, rasterise, redrawn
from sample_data.phantom.parameters import (
    AcquisitionParameters,
    PhantomParameters,
    acquisition_grid,
)
from sample_data.phantom.signal import simulate
from sample_data.phantom.spins import SpinSequence
from sample_data.phantom.tissues import SCENE_TISSUES, SIGNAL

SAMPLE_DATA = Path(__file__).resolve().parents[1]
VARIANTS = ("plain", "implant")
RF_BANDWIDTH_HZ = 1000.0  # no DICOM tag


def make_variant(
    folder: Path, variant: str, parameters: PhantomParameters, acquisition: AcquisitionParameters
) -> dict:
    """Write one study (DICOM, segmentation, truth) and return its truth."""
    anatomy = build_anatomy(replace(parameters, has_implant=variant == "implant"))
    grid = acquisition_grid(anatomy.parameters, acquisition)
    maps = rasterise(anatomy, grid)
    drawn, scene, sequence = maps, None, spin_sequence(acquisition)
    segmentations = [folder / "structures.seg.nrrd"]
    if anatomy.parameters.has_implant:
        scene = metal.metal_scene(anatomy, grid)
        drawn = redrawn(maps, scene.drawn(maps, sequence))
        segmentations.append(folder / "truth.seg.nrrd")
    values = simulate(anatomy, grid, acquisition, scene and (scene, sequence))
    files = write.write_series(folder / "dicom", values, grid, acquisition, variant)
    for path, content_maps in zip(segmentations, (drawn, maps), strict=False):
        write.write_segmentation(path, content_maps)
    content = describe(anatomy, maps, acquisition)
    content["variant"] = variant
    content["structures"] = _volumes(drawn)
    if scene is not None:
        content["artefact"] = _describe_artefact(maps, sequence)
    content["files"] = {
        p.relative_to(folder).as_posix(): write.sha256(p) for p in [*files, *segmentations]
    }
    write.write_truth(folder / "truth.json", content)
    return content


def spin_sequence(acquisition: AcquisitionParameters) -> SpinSequence:
    """The sequence of the series as the forward model needs it; polarities are ours to choose."""
    return SpinSequence(
        field_t=write.FIELD_T,
        bandwidth_hz_per_px=write.BANDWIDTH_HZ_PER_PX,
        readout_pixel_mm=acquisition.pixel_mm,
        readout_axis=2,
        slice_thickness_mm=acquisition.slice_thickness_mm,
        rf_bandwidth_hz=RF_BANDWIDTH_HZ,
        echo_time_ms=write.ECHO_TIME_MS,
        is_gradient_echo=False,
    )


def describe(anatomy: Anatomy, maps: LabelMaps, acquisition: AcquisitionParameters) -> dict:
    """Everything known about the phantom, ready for JSON."""
    grid = maps.grid
    content = {
        "schema": "phantom-truth/1",
        "banner": write.BANNER,
        "coordinate_system": "LPS",
        "unit": "mm",
        "grid": {
            "shape_kji": list(grid.shape_kji),
            "spacing_kji_mm": np.round(grid.spacing_kji_mm, 9).tolist(),
            "lps_from_kji": grid.lps_from_kji.tolist(),
        },
        "patient": asdict(anatomy.parameters),
        "acquisition": {**asdict(acquisition), "patient_position": "HFP"},
        "targets_lps_mm": {
            n: np.round(p, 4).tolist() for n, p in truth.target_points(anatomy).items()
        },
        "demo_paths": truth.demo_paths(anatomy, maps),
        "sizes": truth.analytic_sizes(anatomy),
        "tissues": {
            t.name.lower(): {"signal": v.mean, "texture": v.texture}
            for t, v in SIGNAL.items()
            if t not in SCENE_TISSUES
        },
    }
    if anatomy.parameters.has_implant:
        content["implant"] = _describe_implant(anatomy)
    return content


def _volumes(maps: LabelMaps) -> dict:
    voxel_mm3 = float(abs(np.linalg.det(maps.grid.lps_from_kji[:3, :3])))
    counts = {name: int(maps.mask(name).sum()) for name in maps.names}
    return {
        name: {"voxels": n, "volume_mm3": round(n * voxel_mm3, 1)} for name, n in counts.items()
    }


def _describe_artefact(maps: LabelMaps, sequence: SpinSequence) -> dict:
    return {
        "model": "dipole field of the exact rods and screws; spins displaced along readout "
        "(columns) and slice, spread and piled up where they land",
        "delta_chi_ppm": implants.DELTA_CHI_PPM,
        "b0_lps": list(metal.B0_LPS),
        "sequence": asdict(sequence),
        "segmentations": {
            "structures.seg.nrrd": "as drawn on the image: where the spins are shown, from "
            f"{metal.DRAWN_SHARE:g} of what the voxel shows on, so neighbours may overlap; the "
            f"true voxel where less than {metal.LOST_SHARE:g} of the spins are shown; metal where "
            "it truly is",
            "truth.seg.nrrd": "where the structures truly are; demo_paths are clear of these",
        },
        "true_structures": _volumes(maps),
    }


def _describe_implant(anatomy: Anatomy) -> dict:
    screws = {}
    for level in ("L4", "L5"):
        for side, sign in (("left", 1), ("right", -1)):
            places = [p * (sign, 1, 1) for p in implants.screw_axis(anatomy.spine.vertebrae[level])]
            rod, entry, tip = np.round(anatomy.parameters.lps_from_anatomy(places), 4).tolist()
            screws[f"{level}_{side}"] = {
                "rod_lps_mm": rod,
                "entry_lps_mm": entry,
                "tip_lps_mm": tip,
            }
    return {
        "material": implants.MATERIAL,
        "screw_diameter_mm": implants.SCREW_DIAMETER_MM,
        "rod_diameter_mm": implants.ROD_DIAMETER_MM,
        "screws": screws,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=(*VARIANTS, "all"), default="all")
    parser.add_argument("--out", type=Path, default=SAMPLE_DATA)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--coarser", type=float, default=1.0, help="factor on the voxel size, for tests"
    )
    options = parser.parse_args(argv)
    parameters = PhantomParameters(scale=options.scale, seed=options.seed)
    acquisition = AcquisitionParameters().coarser(options.coarser)
    for variant in VARIANTS if options.variant == "all" else (options.variant,):
        folder = options.out / variant
        make_variant(folder, variant, parameters, acquisition)
        size_mb = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6
        print(f"{folder}: {size_mb:.2f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
