"""Magnetic resonance physics of metal: fields, shifts, artefacts."""

from planner.physics.dipole_field import field_perturbation_ppm

__all__ = ["field_perturbation_ppm"]
