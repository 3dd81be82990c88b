"""Frames, grids, distance fields and exact kernels. No files, no DICOM, no plotting."""

from planner.geometry.frames import FrameId, PatientPosition
from planner.geometry.grid import Grid
from planner.geometry.volume import ImageSource, ImageWarning, Mask, Volume

__all__ = ["FrameId", "Grid", "ImageSource", "ImageWarning", "Mask", "PatientPosition", "Volume"]
