"""The patient of the scenes: the sample's patient with more levels, and what may be in the way.

The committed sample data is the plain `PhantomParameters`; nothing here changes it.
"""

from dataclasses import dataclass

from sample_data.phantom.parameters import PhantomParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenePatient(PhantomParameters):
    """One synthetic patient of the scenes.

    Parameters
    ----------
    levels : tuple of str, vertebrae that are drawn, head to feet; the last are L4 and L5
    lesion_level : str, the vertebra with a lesion in the left half of its body
    crest_rise_mm : float, how much higher the iliac wings stand (30: in front of L5-S1)
    pleura_drop_mm : float, how much lower the pleura ends (60: at L1), and closer to the spine
    has_bowel_behind : bool, colon behind the psoas abscess as well as beside it
    has_bone_behind_cyst : bool, a shell of bone over the paraspinal cyst
    has_fusion_mass : bool, bone over facets and transverse processes of L3 to L5 on the left
    has_sealed_sacrum : bool, bone over the dorsal sacral foramina on both sides
    has_gluteal_varix : bool, a sheet of veins behind the left half of the pelvis
    thigh_wrap : bool, the posterior compartment reaches around the thigh over the tumour
    bundle_over_target : bool, vessels around the femur, or the bundle in front of the joint
    """

    levels: tuple[str, ...] = ("L2", "L3", "L4", "L5")
    lesion_level: str = "L5"
    crest_rise_mm: float = 0.0
    pleura_drop_mm: float = 0.0
    has_bowel_behind: bool = False
    has_bone_behind_cyst: bool = False
    has_fusion_mass: bool = False
    has_sealed_sacrum: bool = False
    has_gluteal_varix: bool = False
    thigh_wrap: bool = False
    bundle_over_target: bool = False
