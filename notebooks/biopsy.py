# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Biopsies: through the pedicle, into a disc, into soft tissue
#
# **Research use only. Not a medical device.** The images are synthetic: see `sample_data/README.md`.
#
# A vertebra has one natural way in: the pedicle, a bridge of bone with the spinal canal on its inner
# side and a nerve root under it. The needle must run inside it, with bone left on each side. Where it
# does not fit, the only right answer is no.
#
# Points are LPS (+x left, +y back, +z head) in millimetres.

# %%
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from IPython.display import Image, display

import planner
from planner.anatomy import find_region
from planner.report import path_pictures, summary_text
from sample_data.phantom.scene_files import write_scene
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.scenes import SceneScan, trunk_scene

places = [Path("sample_data"), Path("../sample_data")]
places.append(Path(planner.__file__).resolve().parents[1] / "sample_data")
study = next(place for place in places if (place / "plain" / "truth.json").is_file()) / "plain"
out = Path(tempfile.mkdtemp(prefix="biopsy_"))

volume = planner.load_volume(study / "dicom")
structures = planner.load_structures(study / "structures.seg.nrrd", like=volume)
truth = json.loads((study / "truth.json").read_text(encoding="utf-8"))

# %% [markdown]
# ## 1. The pedicles
#
# They are derived from the label of the vertebra and the canal. Width and height are counted with one
# voxel taken off, so that the coarse slices do not make a pedicle look wider than it is.

# %%
for side in ("left", "right"):
    pedicle = find_region(f"pedicle:L5:{side}", structures)
    told = {key: round(value, 1) for key, value in pedicle.measures.items()}
    print("L5", side, told, *pedicle.warnings, sep="  ")

# %% [markdown]
# ## 2. A lesion in L5
#
# The procedure is a file with a tag of evidence at every number. At L5 it takes the angles of L5.

# %%
procedure = planner.load_protocol("vertebral_biopsy_transpedicular")
gap = procedure.corridor.numbers["gap_mm"]
print(f"bone to leave on each side of the needle: {gap.value} mm ({gap.evidence})")
for level in ("L3", "L4", "L5"):
    print(
        level,
        "axial angle:",
        procedure.at_level(level).axial_deg,
        procedure.at_level(level).approach_evidence,
    )

lesion = truth["targets_lps_mm"]["vertebra_L5_lesion"]
result = planner.plan(volume, lesion, procedure, structures, top=2, entry_spacing_mm=3.0)
print(summary_text(result))

# %% [markdown]
# The violet outline is the pedicle, the way in; the needle must lie inside of it where it crosses.

# %%
for picture in path_pictures(result, top=1):
    display(Image(data=picture.content, width=900))

# %%
best = result.trajectories[0]
for finding in best.findings:
    if finding.constraint in ("pedicle", "pedicle_wall", "far_wall", "direction", "length"):
        print(
            f"{finding.constraint:14} {finding.verdict:8} {finding.measured} {finding.unit}, needs {finding.required}: {finding.note}"
        )

# %% [markdown]
# ## 3. A pedicle that is too narrow
#
# The same patient with pedicles of less than half the width, made by the phantom on the fly. The
# planner tells the numbers; it does not thin the wall to please us.

# %%
patient = ScenePatient(pedicle_width_factor=0.4)
scene = trunk_scene("lumbar", patient, SceneScan(coarser=2.0))
series, masks = write_scene(out / "narrow", scene, patient_position="HFP")
narrow_volume = planner.load_volume(series)
narrow_structures = planner.load_structures(masks, like=narrow_volume)
narrow = planner.plan(
    narrow_volume,
    None,
    procedure,
    narrow_structures,
    region=find_region("pedicle:L4:left", narrow_structures),
    entry_spacing_mm=4.0,
)
print(narrow.verdict.upper(), "- paths:", len(narrow.trajectories))
for explanation in narrow.explanation[:3]:
    print("-", explanation.message)
assert narrow.explanation[0].code == "pedicle_too_narrow"

# %% [markdown]
# ## 4. A disc
#
# From behind and beside, past the root that leaves above (the triangle of Kambin). The region is the
# disc's label; the preferred depth is its middle.

# %%
disc = find_region("disc:L4-L5", structures)
aspiration = planner.plan(
    volume, None, "disc_biopsy", structures, region=disc, top=2, entry_spacing_mm=4.0
)
print(aspiration.verdict.upper(), "-", aspiration.trajectories[0].words)
for picture in path_pictures(aspiration, top=1):
    display(Image(data=picture.content, width=900))

# %% [markdown]
# At L5/S1 the disc is steep, and sacrum, L5 and iliac crest leave no straight way to it. The planner
# says so, and says what would open a path. Whether such a change is right is not for a program to say.

# %%
low = find_region("disc:L5-S1", structures)
print({key: round(value, 1) for key, value in low.measures.items()})
crest = planner.plan(volume, None, "disc_biopsy", structures, region=low, entry_spacing_mm=12.0)
print(crest.verdict.upper(), "- paths:", len(crest.trajectories))
for explanation in crest.explanation[:5]:
    print("-", explanation.message)

# %% [markdown]
# ## 5. Soft tissue
#
# A lesion in the left gluteus medius. A core needle fires: the throw beyond the tip counts as needle.

# %%
soft = planner.plan(
    volume, truth["targets_lps_mm"]["soft_tissue_lesion"], "soft_tissue_biopsy", structures, top=2
)
print(soft.verdict.upper(), "-", soft.trajectories[0].words)
print(f"throw {soft.needle.throw_mm:g} mm; room beyond the tip counts in every clearance:")
for clearance in sorted(
    soft.trajectories[0].clearances, key=lambda c: c.clearance_mm - c.required_mm
)[:3]:
    print(
        f"  {clearance.structure:22} {clearance.clearance_mm:6.2f} mm, needs {clearance.required_mm:g}"
    )

# %% [markdown]
# ## 6. Check and hand over
#
# The pedicles are derived anew, the wall is measured by another route.

# %%
file = planner.save_plan(result, out / "plan.json")
report = planner.verify_plan(planner.load_plan(file), volume, structures)
print(report.to_text())
assert report.ok

# %%
command = [sys.executable, "-m", "planner", "export", str(file), "--to", "csv", "--to", "sheet"]
print(subprocess.run([*command, "--quiet"], check=True, capture_output=True, text=True).stdout)
print("written:", *sorted(path.name for path in out.iterdir() if path.is_file()))

# %% [markdown]
# What this does not tell: whether the labels are right, whether bone bends the needle, whether the
# sample is from the lesion. See `docs/HAZARDS.md` and `docs/procedures.md`.
