"""Analytic lumbosacral MR phantom with known truth.

``build_anatomy`` gives shapes, ``rasterise`` labels on any grid, ``make.main`` the
committed DICOM series. Nothing here is read by the planner: it is data and test support.
"""

from sample_data.phantom.anatomy import Anatomy, build_anatomy
from sample_data.phantom.labels import LabelMaps, rasterise
from sample_data.phantom.parameters import (
    AcquisitionParameters,
    PhantomGrid,
    PhantomParameters,
    acquisition_grid,
)

__all__ = [
    "AcquisitionParameters",
    "Anatomy",
    "LabelMaps",
    "PhantomGrid",
    "PhantomParameters",
    "acquisition_grid",
    "build_anatomy",
    "rasterise",
]
