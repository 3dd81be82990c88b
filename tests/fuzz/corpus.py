"""Good files of every kind that is read, with marks in everything that tells who the patient is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from planner.geometry import FrameId, Grid
from tests.dicom_writer import SERIES_UID, save, texture, write_series
from tests.grids import ORIENTED_AXES

MARK = "ZQ"
"""Every mark begins so; nothing else in the corpus does."""

IDENTITY = {
    "PatientName": "ZQNAME^ZQGIVEN",
    "PatientID": "ZQID4711",
    "PatientBirthDate": "19380217",
    "PatientBirthTime": "031415",
    "OtherPatientIDs": "ZQOTHERID",
    "OtherPatientNames": "ZQOTHER^NAME",
    "PatientBirthName": "ZQBIRTH^NAME",
    "PatientMotherBirthName": "ZQMOTHER",
    "PatientAddress": "ZQSTREET 1",
    "PatientTelephoneNumbers": "ZQPHONE",
    "MedicalRecordLocator": "ZQRECORD",
    "PatientComments": "ZQCOMMENT",
    "ResponsiblePerson": "ZQGUARDIAN",
    "AccessionNumber": "ZQACCESSION",
    "InstitutionName": "ZQHOSPITAL",
    "InstitutionAddress": "ZQTOWN",
    "InstitutionalDepartmentName": "ZQWARD",
    "StationName": "ZQSTATION",
    "ReferringPhysicianName": "ZQREFERRER",
    "ReferringPhysicianAddress": "ZQPRACTICE",
    "PerformingPhysicianName": "ZQPERFORMER",
    "NameOfPhysiciansReadingStudy": "ZQREADER",
    "PhysiciansOfRecord": "ZQRECORDER",
    "OperatorsName": "ZQOPERATOR",
    "RequestingPhysician": "ZQREQUESTER",
    "CurrentPatientLocation": "ZQBED",
    "DeviceSerialNumber": "ZQSERIAL",
}
"""Attributes that name the patient, the people or the place, and what stands in them."""

PROCEDURE = "soft_tissue_biopsy.toml"

MARKS = (MARK, "19380217")
"""None of these may come out again; the time of birth is a number like others in a plan."""

FRAME_UID = "1.2.826.0.1.3680043.8.498.77"
SHAPE_KJI = (5, 36, 34)


@dataclass(frozen=True)
class Seed:
    """A good file, what suits it as damage, and what it is given to.

    ``neighbours`` are files that must lie beside it (the other slices, the voxels);
    with ``is_folder`` the folder is what is opened.
    """

    file: Path
    operations: str
    actions: tuple[str, ...]
    is_gzip: bool = False
    is_folder: bool = False
    neighbours: tuple[Path, ...] = ()


def marked(dataset: Dataset) -> None:
    """Writes the marks, at the top and in the sequences where they also stand."""
    for keyword, text in IDENTITY.items():
        setattr(dataset, keyword, text)
    request = Dataset()
    request.AccessionNumber, request.RequestingPhysician = "ZQREQUEST", "ZQREQUESTER"
    dataset.RequestAttributesSequence = [request]
    block = dataset.private_block(0x0051, "SIEMENS MR HEADER", create=True)
    block.add_new(0x20, "LO", "ZQPRIVATE")


def grid() -> Grid:
    """Oblique and anisotropic."""
    return Grid.from_axes(
        SHAPE_KJI, (4.0, 1.5, 1.2), (-10.0, 5.0, 40.0), ORIENTED_AXES["oblique"], FrameId(FRAME_UID)
    )


TARGET_LPS_MM = [round(float(x), 2) for x in grid().to_lps([2.0, 17.0, 16.0])]
"""In the middle of the body."""


def image_values() -> np.ndarray:
    """A bright body with texture before a dark background."""
    _, j, i = np.indices(SHAPE_KJI)
    is_body = ((j - 17.5) / 15.0) ** 2 + ((i - 16.5) / 14.0) ** 2 <= 1.0
    noise = texture(grid(), top=40)
    return np.where(is_body, 400 + noise, noise // 8).astype(np.uint16)


def write_corpus(folder: Path) -> None:
    """Writes every seed that `seeds` names."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_dicom(folder)
    _write_volumes(folder)
    _write_masks(folder)
    _write_meshes(folder)
    _write_texts(folder)


def _write_dicom(folder: Path) -> None:
    import pydicom

    from tests.multiframe_writer import (
        add_csa,
        enhanced_dataset,
        image_csa,
        mosaic_dataset,
        series_csa,
        slice_centres,
    )

    place = grid()
    files = write_series(folder / "classic", place, image_values(), edit=lambda ds, k: marked(ds))
    for name, syntax in {
        "deflated": DeflatedExplicitVRLittleEndian,
        "implicit": ImplicitVRLittleEndian,
        "rle": RLELossless,
        "j2k": JPEG2000Lossless,
        "jpegls": JPEGLSLossless,
    }.items():
        (folder / name).mkdir()
        for file in files:
            dataset = pydicom.dcmread(file)
            if name in ("deflated", "implicit"):
                dataset.file_meta.TransferSyntaxUID = syntax
            else:
                dataset.compress(syntax, generate_instance_uid=False)
            dataset.save_as(folder / name / file.name, enforce_file_format=True)
    for name in ("bigendian", "jpegll"):
        (folder / name).mkdir()
        for file in files:
            _recoded(pydicom.dcmread(file), name, folder / name / file.name)
    enhanced = enhanced_dataset(place, [(image_values(), {})])
    marked(enhanced)
    save(enhanced, folder / "enhanced.dcm")
    _deflated(folder / "enhanced.dcm", folder / "enhanced_deflated.dcm")
    mosaic = mosaic_dataset(place, image_values())
    marked(mosaic)
    normal = place.axes_lps_from_kji[:, 0]
    add_csa(mosaic, image_csa(SHAPE_KJI[0], normal), series_csa(slice_centres(place)))
    save(mosaic, folder / "mosaic.dcm")


def _recoded(dataset: Dataset, name: str, file: Path) -> None:
    """In a transfer syntax into which pydicom does not turn a data set."""
    import pydicom
    from pydicom.encaps import encapsulate

    from tests.jpeg_lossless import encode

    words = dataset.pixel_array
    if name == "bigendian":
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        dataset.PixelData = words.astype(">u2").tobytes()
        dataset["PixelData"].VR = "OW"
        pydicom.dcmwrite(file, dataset, little_endian=False, implicit_vr=False)
        return
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = encapsulate([encode(words, precision=16)])
    dataset["PixelData"].is_undefined_length = True
    save(dataset, file)


def _deflated(file: Path, copy: Path) -> None:
    import pydicom

    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    save(dataset, copy)


def _write_volumes(folder: Path) -> None:
    import nibabel
    import SimpleITK as sitk

    from tests.mask_files import write_nifti

    place, values = grid(), image_values().astype(np.int16)
    write_nifti(folder / "image.nii", values, place)
    write_nifti(folder / "image.nii.gz", values, place)
    first = nibabel.load(folder / "image.nii")
    nibabel.save(nibabel.Nifti2Image.from_image(first), folder / "image2.nii")
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(place.spacing_kji_mm[::-1].tolist())
    image.SetOrigin(place.origin_lps_mm.tolist())
    image.SetDirection(place.axes_lps_from_kji[:, ::-1].ravel().tolist())
    for name, compressed in {
        "image.nrrd": False,
        "packed.nrrd": True,
        "image.mha": False,
        "packed.mha": True,
        "apart.nhdr": False,
        "apart.mhd": False,
    }.items():
        sitk.WriteImage(image, str(folder / name), compressed)


def labels() -> np.ndarray:
    """Two boxes with the values 1 and 2."""
    out = np.zeros(SHAPE_KJI, np.uint8)
    out[1:4, 2:8, 2:7] = 1
    out[2:4, 8:11, 3:9] = 2
    return out


def _write_masks(folder: Path) -> None:
    from tests.mask_files import (
        nrrd_header,
        write_metaimage,
        write_nifti,
        write_nrrd,
        write_slicer,
    )
    from tests.rtstruct_writer import Roi, write_rtstruct
    from tests.seg_writer import description, write_seg

    place, values = grid(), labels()
    write_nifti(folder / "mask.nii", values, place, names={1: "aorta", 2: "nerve root"})
    write_nifti(folder / "mask.nii.gz", values, place)
    write_nrrd(folder / "mask.nrrd", values, nrrd_header(place, encoding="raw"))
    write_nrrd(folder / "packed_mask.nrrd", values, nrrd_header(place, encoding="gzip"))
    write_metaimage(folder / "mask.mha", values, place)
    other = np.roll(values, 1, axis=2)
    segments = [("aorta", 0, 1), ("nerve", 0, 2), ("vein", 1, 1)]
    write_slicer(folder / "mask.seg.nrrd", [values, other], place, segments)
    shares = np.stack([values == 1, values == 2], axis=-1)
    sources = sorted((folder / "classic").iterdir())
    parts = [description(1, "aorta"), description(2, "nerve")]
    write_seg(folder / "seg.dcm", sources, place, shares, parts, edit=marked)
    write_seg(
        folder / "seg_fraction.dcm",
        sources,
        place,
        shares * 0.7,
        parts,
        kind="FRACTIONAL",
        edit=marked,
    )
    write_seg(folder / "labelmap.dcm", sources, place, shares, parts, kind="LABELMAP", edit=marked)
    corners = [[3.0, 2.0, 2.0], [3.0, 9.0, 2.0], [3.0, 9.0, 7.0], [3.0, 2.0, 7.0]]
    square = np.array([place.to_lps(kji) for kji in corners])
    step = place.to_lps([1.0, 0.0, 0.0]) - place.to_lps([0.0, 0.0, 0.0])
    rois = [Roi("aorta", [square, square - step], frame_uid=FRAME_UID)]
    write_rtstruct(folder / "rtstruct.dcm", rois, frame_uid=FRAME_UID)
    import pydicom

    contours = pydicom.dcmread(folder / "rtstruct.dcm")
    marked(contours)
    save(contours, folder / "rtstruct.dcm")
    _deflated(folder / "rtstruct.dcm", folder / "rtstruct_deflated.dcm")
    _deflated(folder / "seg.dcm", folder / "seg_deflated.dcm")


def _write_meshes(folder: Path) -> None:
    from tests.mesh_files import write_mesh
    from tests.meshes import sphere

    middle = grid().to_lps((np.array(SHAPE_KJI) - 1) / 2)
    ball = sphere(middle, 3.0, n=6)
    for name in ("ball.stl", *TEXT_MESHES):
        write_mesh(folder / name, ball, space="LPS")


def _write_texts(folder: Path) -> None:
    import planner
    from tests.plan_factory import make_result

    point = {
        "label": "T",
        "id": "1",
        "position": TARGET_LPS_MM,
        "positionStatus": "defined",
        "orientation": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    }
    markup = {
        "type": "Fiducial",
        "name": "F",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": [point],
    }
    (folder / "target.mrk.json").write_text(json.dumps({"markups": [markup]}, indent=1))
    (folder / "target.fcsv").write_text(
        "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n"
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
        "1,{},{},{},0,0,0,1,1,1,0,T,,\n".format(*TARGET_LPS_MM)
    )
    (folder / "names.json").write_text('{"1": "aorta", "2": "nerve root"}')
    (folder / "config.toml").write_text(
        f'procedure = "soft_tissue_biopsy"\ntarget = {TARGET_LPS_MM}\nstructures = ["mask.nrrd"]\n'
        'needle = "22G-90"\ntop = 3\nentry_spacing_mm = 4.0\nfigures = false\nthreads = 1\n'
        'label_names = "names.json"\n\n[roles]\naorta = "avoid:3"\n"nerve root" = "avoid"\n'
    )
    from planner.protocols.loading import DATA_DIR

    (folder / PROCEDURE).write_bytes((DATA_DIR / PROCEDURE).read_bytes())
    planner.save_plan(make_result(n_trajectories=2), folder / "plan.json")
    # of the corpus's series, so that verifying goes beyond the choice of the series
    plan = json.loads((folder / "plan.json").read_text())
    plan["image"]["series_instance_uid"] = SERIES_UID
    (folder / "plan.json").write_text(json.dumps(plan, indent=1))


_IMAGE = ("load_volume", "inspect")
_TARGET = ("read_target", "plan_target")

SERIES = ("classic", "deflated", "implicit", "rle", "j2k", "jpegls", "bigendian", "jpegll")
DEFLATED = ("deflated", "enhanced_deflated.dcm", "seg_deflated.dcm", "rtstruct_deflated.dcm")
TEXT_MESHES = ("ball.ascii.stl", "ball.obj", "ball.ply", "ball.vtp", "ball.vtk")
"""Read in a process of their own, so one takes a second."""


def seeds(folder: Path) -> dict[str, Seed]:
    """Every seed by its name, after `write_corpus` wrote them."""
    found: dict[str, Seed] = {}

    def add(file: str, operations: str, *actions: str, **more: Any) -> None:
        found[file] = Seed(folder / file, operations, actions, **more)

    for name in SERIES:
        first, *others = sorted((folder / name).iterdir())
        kind = "mixed" if name in ("deflated", "implicit", "bigendian") else "dicom"
        actions = (*_IMAGE, "plan_image") if name == "classic" else _IMAGE
        found[name] = Seed(first, kind, actions, is_folder=True, neighbours=tuple(others))
    add("enhanced.dcm", "dicom", *_IMAGE)
    add("enhanced_deflated.dcm", "mixed", *_IMAGE)
    add("mosaic.dcm", "dicom", *_IMAGE, "plan_image")
    for file in ("image.nii", "image2.nii", "image.nrrd", "packed.nrrd", "image.mha", "packed.mha"):
        add(file, "mixed", *_IMAGE)
    add("image.nii.gz", "mixed", *_IMAGE, is_gzip=True)
    for file in ("apart.nhdr", "apart.mhd"):
        add(file, "text", *_IMAGE, neighbours=(folder / "apart.raw",))
    for file in ("mask.nii", "mask.nrrd", "packed_mask.nrrd", "mask.mha", "mask.seg.nrrd"):
        add(file, "mixed", "load_structures")
    add("mask.nii.gz", "mixed", "load_structures", is_gzip=True)
    for file in ("seg.dcm", "seg_fraction.dcm", "labelmap.dcm", "rtstruct.dcm"):
        add(file, "dicom", "load_structures")
    for file in ("seg_deflated.dcm", "rtstruct_deflated.dcm"):
        add(file, "mixed", "load_structures")
    for file in ("ball.stl", *TEXT_MESHES):
        add(file, "mixed", "load_structures")
    add("target.mrk.json", "text", *_TARGET)
    add("target.fcsv", "text", *_TARGET)
    add("names.json", "text", "label_names")
    add("config.toml", "text", "load_config", "plan_config")
    add(PROCEDURE, "text", "load_protocol", "show_protocol")
    add("plan.json", "text", "load_plan", "verify")
    return found
