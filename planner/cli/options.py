"""Options that several commands have, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no notes on stderr.")]
Structures = Annotated[
    list[Path] | None,
    typer.Option(
        "--structures",
        metavar="FILE",
        help="Masks: NIfTI, NRRD, MHA, Slicer .seg.nrrd, DICOM SEG, RT structure set, or a "
        "surface mesh (STL, OBJ, PLY, VTP, VTK). Repeatable.",
    ),
]

AcceptFrameMismatch = Annotated[
    bool,
    typer.Option(
        "--accept-frame-mismatch",
        help="Take masks that state another frame of reference than the image; the plan says so.",
    ),
]

SegThreshold = Annotated[
    float | None,
    typer.Option(
        "--seg-threshold",
        metavar="SHARE",
        help="Share of a voxel (0 to 1) that counts as inside in a fractional DICOM SEG; "
        "by default any share for structures to avoid, 0.5 for others.",
    ),
]

MeshFrame = Annotated[
    Literal["lps", "ras"] | None,
    typer.Option(
        "--mesh-frame", help="Coordinate system of surface meshes whose files do not say it."
    ),
]
