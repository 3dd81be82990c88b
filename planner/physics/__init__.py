"""Magnetic resonance physics of metal: fields, shifts, artefacts, scan planes."""

from planner.physics.acquisition import acquisition_of
from planner.physics.dipole_field import field_perturbation_ppm

__all__ = ["acquisition_of", "field_perturbation_ppm"]
