"""Obstacles and their margins, clearance fields, and checks that end in findings."""

from planner.physics import field_perturbation_ppm
from planner.safety.checks import CutFaces, NeedleAxis
from planner.safety.fields import FieldCache
from planner.safety.needle import needle_artefact
from planner.safety.obstacles import CONTACT_MM, Obstacle, Obstacles, resolve_obstacles

__all__ = [
    "CONTACT_MM",
    "CutFaces",
    "FieldCache",
    "NeedleAxis",
    "Obstacle",
    "Obstacles",
    "field_perturbation_ppm",
    "needle_artefact",
    "resolve_obstacles",
]
