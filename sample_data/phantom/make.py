"""Make the sample studies: ``python -m sample_data.phantom.make [--variant plain|implant|all]``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from sample_data.phantom import implants, truth, write
from sample_data.phantom.anatomy import Anatomy, build_anatomy
from sample_data.phantom.labels import LabelMaps, rasterise
from sample_data.phantom.parameters import (
    AcquisitionParameters,
    PhantomParameters,
    acquisition_grid,
)
from sample_data.phantom.signal import simulate
from sample_data.phantom.tissues import SIGNAL

SAMPLE_DATA = Path(__file__).resolve().parents[1]
VARIANTS = ("plain", "implant")


def make_variant(
    folder: Path, variant: str, parameters: PhantomParameters, acquisition: AcquisitionParameters
) -> dict:
    """Write one study (DICOM, segmentation, truth) and return its truth."""
    anatomy = build_anatomy(replace(parameters, has_implant=variant == "implant"))
    grid = acquisition_grid(anatomy.parameters, acquisition)
    maps = rasterise(anatomy, grid)
    values = simulate(anatomy, grid, acquisition)
    files = write.write_series(folder / "dicom", values, grid, acquisition, variant)
    segmentation = folder / "structures.seg.nrrd"
    write.write_segmentation(segmentation, maps)
    content = describe(anatomy, maps, acquisition)
    content["variant"] = variant
    content["files"] = {
        p.relative_to(folder).as_posix(): write.sha256(p) for p in [*files, segmentation]
    }
    write.write_truth(folder / "truth.json", content)
    return content


def describe(anatomy: Anatomy, maps: LabelMaps, acquisition: AcquisitionParameters) -> dict:
    """Everything known about the phantom, ready for JSON."""
    grid = maps.grid
    voxel_mm3 = float(abs(np.linalg.det(grid.lps_from_kji[:3, :3])))
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
        "structures": {
            n: {
                "voxels": int(maps.mask(n).sum()),
                "volume_mm3": round(int(maps.mask(n).sum()) * voxel_mm3, 1),
            }
            for n in maps.names
        },
        "tissues": {
            t.name.lower(): {"signal": v.mean, "texture": v.texture} for t, v in SIGNAL.items()
        },
    }
    if anatomy.parameters.has_implant:
        content["implant"] = _describe_implant(anatomy)
    return content


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
