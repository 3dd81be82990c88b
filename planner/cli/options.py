"""Options that several commands have, each said once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no notes on stderr.")]
PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan.json.")]
Image = Annotated[
    Path | None,
    typer.Option("--image", metavar="PATH", help="The image the plan was made on."),
]
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

LabelNames = Annotated[
    Path | None,
    typer.Option("--label-names", metavar="FILE", help="Names of the label values of a mask."),
]

LabelTable = Annotated[
    str | None,
    typer.Option("--label-table", metavar="NAME", help="Table of a known segmenter's labels."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskReading:
    """How mask files are read where they do not say it themselves."""

    label_names: Path | None = None
    label_table: str | None = None
    mesh_frame: Literal["lps", "ras"] | None = None
    seg_threshold: float | None = None
