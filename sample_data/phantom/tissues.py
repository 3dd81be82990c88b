"""Tissues and their T2-weighted turbo spin echo signal (arbitrary units of the stored image)."""

from enum import IntEnum
from typing import NamedTuple


class Tissue(IntEnum):
    """What a point is made of; AIR is 0 so that an empty map is air."""

    AIR = 0
    SKIN = 1
    FAT = 2
    FASCIA = 3
    MUSCLE = 4
    CORTEX = 5
    MARROW = 6
    MARROW_FATTY = 7
    ANNULUS = 8
    NUCLEUS = 9
    CSF = 10
    NERVE = 11
    ARTERY = 12
    VEIN = 13
    BOWEL_WALL = 14
    BOWEL_FLUID = 15
    STOOL = 16
    GAS = 17
    KIDNEY_CORTEX = 18
    KIDNEY_MEDULLA = 19
    LIGAMENT = 20
    CARTILAGE = 21
    LESION_SOFT = 22
    LESION_BONE = 23
    URINE = 24
    METAL = 25
    PAD = 26
    GANGLION = 27
    LIVER = 28
    LUNG = 29
    PUS = 30
    TUMOUR = 31
    PHYSIS = 32


SCENE_TISSUES = frozenset({Tissue.LIVER, Tissue.LUNG, Tissue.PUS, Tissue.TUMOUR, Tissue.PHYSIS})
"""Only in the scenes for tests, not in the committed series."""


class TissueSignal(NamedTuple):
    """Mean signal and the standard deviation of its natural texture."""

    mean: float
    texture: float


SIGNAL: dict[Tissue, TissueSignal] = {
    Tissue.AIR: TissueSignal(0, 0),
    Tissue.SKIN: TissueSignal(230, 10),
    Tissue.FAT: TissueSignal(600, 22),
    Tissue.FASCIA: TissueSignal(90, 0),
    Tissue.MUSCLE: TissueSignal(135, 9),
    Tissue.CORTEX: TissueSignal(35, 0),
    Tissue.MARROW: TissueSignal(305, 22),
    Tissue.MARROW_FATTY: TissueSignal(370, 28),
    Tissue.ANNULUS: TissueSignal(110, 8),
    Tissue.NUCLEUS: TissueSignal(430, 20),
    Tissue.CSF: TissueSignal(860, 12),
    Tissue.NERVE: TissueSignal(235, 0),
    Tissue.ARTERY: TissueSignal(30, 6),
    Tissue.VEIN: TissueSignal(95, 20),
    Tissue.BOWEL_WALL: TissueSignal(210, 10),
    Tissue.BOWEL_FLUID: TissueSignal(640, 30),
    Tissue.STOOL: TissueSignal(300, 70),
    Tissue.GAS: TissueSignal(4, 0),
    Tissue.KIDNEY_CORTEX: TissueSignal(400, 12),
    Tissue.KIDNEY_MEDULLA: TissueSignal(520, 15),
    Tissue.LIGAMENT: TissueSignal(150, 30),
    Tissue.CARTILAGE: TissueSignal(290, 5),
    Tissue.LESION_SOFT: TissueSignal(520, 25),
    Tissue.LESION_BONE: TissueSignal(590, 25),
    Tissue.URINE: TissueSignal(900, 5),
    Tissue.METAL: TissueSignal(0, 0),
    Tissue.PAD: TissueSignal(0, 0),
    Tissue.GANGLION: TissueSignal(300, 0),
    Tissue.LIVER: TissueSignal(180, 10),
    Tissue.LUNG: TissueSignal(25, 5),
    Tissue.PUS: TissueSignal(700, 25),
    Tissue.TUMOUR: TissueSignal(450, 30),
    Tissue.PHYSIS: TissueSignal(480, 10),
}
