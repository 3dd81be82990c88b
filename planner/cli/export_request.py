"""What ``needle-planner export`` is asked, and what it must not be asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from planner.cli.fetch import PASSWORD_VARIABLE, TOKEN_VARIABLE
from planner.cli.options import MaskReading
from planner.errors import ConfigError

if TYPE_CHECKING:
    from planner.io.pacs import PacsSource

IGTL = "igtl://"
SLICER = "slicer"
FILE_NAMES = {
    "csv": "needle_plan.csv",
    "sheet": "needle_plan_sheet.html",
    "markups": "needle_plan.mrk.json",
    SLICER: "needle_plan_slicer",
    "dicom-sr": "needle_plan_sr.dcm",
    "dicom-seg": "needle_plan_seg.dcm",
    "dicom-images": "needle_plan_images",
    "rtstruct": "needle_plan_rtstruct.dcm",
}
"""What each format is called in a folder; without a suffix it is a folder itself."""

FORMATS = tuple(FILE_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What the command line says."""

    plan_file: Path
    formats: tuple[str, ...]
    out: Path | None = None
    image: Path | None = None
    structures: tuple[Path, ...] = ()
    reading: MaskReading = field(default_factory=MaskReading)
    ranks: tuple[int, ...] | None = None
    even_if_unknown: bool = False
    send: str | None = None
    stow: str | None = None
    user: str | None = None
    own_aet: str = "NEEDLEPLAN"
    thickness: str = "none"

    @property
    def dicom(self) -> tuple[str, ...]:
        """The DICOM formats asked for."""
        return tuple(f for f in self.formats if f.startswith("dicom-") or f == "rtstruct")


def check_usage(request: ExportRequest) -> None:
    """Raise where options contradict each other.

    Raises
    ------
    typer.BadParameter
    """
    known = ", ".join((*FORMATS, f"{IGTL}HOST:PORT"))
    for name in request.formats:
        if name not in FILE_NAMES and not name.startswith(IGTL):
            raise typer.BadParameter(f"'{name}' is none of: {known}", param_hint="--to")
    if (request.send or request.stow) and not request.dicom:
        raise typer.BadParameter(
            "only DICOM is sent to an archive", param_hint="--send" if request.send else "--stow"
        )
    if request.send and request.stow:
        raise typer.BadParameter("give one of --send and --stow", param_hint="--stow")
    if request.dicom and request.image is None:
        raise typer.BadParameter(
            f"{request.dicom[0]} needs the DICOM images the plan was made on", param_hint="--image"
        )
    if request.structures and request.image is None:
        raise typer.BadParameter("masks need the image they lie on", param_hint="--image")


def addresses(request: ExportRequest) -> list[tuple[str, int]]:
    """Read before anything is written, so that a wrong address stops all."""
    from planner.exports.igtl_link import igtl_address

    return [igtl_address(name) for name in request.formats if name.startswith(IGTL)]


def archive(request: ExportRequest) -> PacsSource | None:
    """Where the DICOM is stored, if anywhere."""
    from planner.io.pacs import PacsSource

    if request.send is not None:
        with _named("--from", "--send"):
            return PacsSource.at(request.send, own_aet=request.own_aet)
    if request.stow is None:
        return None
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if request.user and not password:
        raise ConfigError(
            "there is no password for --user",
            needed=f"the environment variable {PASSWORD_VARIABLE}",
        )
    with _named("--dicomweb", "--stow"):
        return PacsSource(
            url=request.stow.rstrip("/"),
            user=request.user or "",
            password=password,
            token=os.environ.get(TOKEN_VARIABLE, ""),
        )


@contextmanager
def _named(there: str, here: str) -> Iterator[None]:
    """An error about the option of another command names the one of this command."""
    try:
        yield
    except ConfigError as error:
        if error.where != there:
            raise
        raise ConfigError(error.what, seen=error.seen, needed=error.needed, where=here) from error
