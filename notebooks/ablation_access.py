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
# # Access for ablation: a nidus, a tumour, a bone cyst with two needles
#
# **Research use only. Not a medical device.** The images are synthetic: the phantom draws a left thigh,
# supine, and it is read back from DICOM as a scanner would leave it.
#
# Ablation asks three things of the way in: hit a target of a few millimetres, come through the cortex
# steeply enough not to slip, and stay far from what heat would hurt. In MR the needle also blinds: its
# metal hides the tissue around it, and its tip is seen where it is not.
#
# Points are LPS (+x left, +y back, +z head) in millimetres.

# %%
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from IPython.display import Image, display

import planner
from planner.model import TargetRegion
from planner.report import path_pictures, summary_text
from sample_data.phantom.scene_files import write_scene
from sample_data.phantom.scene_patient import ScenePatient
from sample_data.phantom.scenes import SceneScan, limb_scene

out = Path(tempfile.mkdtemp(prefix="ablation_"))


def load_thigh(patient, roles, folder):
    """Image and masks of a patient's left thigh, through files."""
    scene = limb_scene("limb", patient, SceneScan(coarser=1.35))
    series, masks = write_scene(folder, scene, patient_position="HFS")
    image = planner.load_volume(series)
    return image, planner.load_structures(masks, like=image, roles=roles)


def middle_of(structures, name):
    """The middle of a mask, LPS mm."""
    mask = structures[name].mask
    return mask.grid.to_lps(np.argwhere(mask.inside)).mean(axis=0)


patient = ScenePatient(origin_lps_mm=(60.0, -20.0, 400.0))
volume, structures = load_thigh(patient, {"bone_cyst": "target"}, out / "thigh")
print("position", volume.source.patient_position, " shape", volume.grid.shape_kji)
print(*(f"{s.name} ({s.role})" for s in structures.structures), sep=", ")

# %% [markdown]
# ## 1. A nidus in the femur
#
# An osteoid osteoma is a nidus of a few millimetres in thick bone. The drill must meet the cortex at 60
# degrees or more, and stay 10 mm from nerve and vessel.

# %%
nidus = middle_of(structures, "nidus")
result = planner.plan(volume, nidus, "osteoid_osteoma", structures, top=3)
print(summary_text(result))
for picture in path_pictures(result, top=1):
    display(Image(data=picture.content, width=900))

# %% [markdown]
# CAUTION here is honest. The masks say *left*, but the image shows one leg only: the program measures
# left and right from the middle of the body that it sees, finds the vessels right of it, and asks a
# person to look. The other cautions are about the needle's own artefact.

# %%
best = result.trajectories[0]
for finding in best.findings:
    if finding.constraint in ("cortex_angle", "target_shift", "needle_artefact"):
        print(
            f"{finding.constraint:16} {finding.verdict:8} {finding.measured} {finding.unit}, needs {finding.required}: {finding.note}"
        )

# %% [markdown]
# ## 2. What the needle does to the image
#
# The artefact grows with the angle to the main field, the needle's material and the sequence. Titanium
# against steel, on the same path:

# %%
for needle in ("17G-150", "17G-150:steel"):
    plan = planner.plan(volume, nidus, "osteoid_osteoma", structures, needle, top=1)
    seen = plan.trajectories[0].artefact if plan.trajectories else None
    if seen is None:
        print(f"{needle}: {plan.verdict}")
        continue
    print(
        f"{needle:14} {plan.verdict}: shaft {seen.width_mm:.1f} to {seen.width_max_mm:.1f} mm wide, tip seen up to "
        f"{seen.tip_max_mm:.1f} mm too far, {seen.b0_angle_deg:.0f} degrees to B0"
    )

# %% [markdown]
# ## 3. The planes to type in
#
# Two planes that hold the needle, and one across it at the target, with the turn of the readout that
# makes the needle look thinnest.

# %%
for plane in best.scan_planes:
    centre = np.array(plane.centre_lps_mm).round(1)
    print(
        f"{plane.name:28} {plane.orientation:22} centre {centre} field {plane.field_of_view_mm:.0f} mm"
    )
    print(
        f"{'':28} readout {plane.readout_rotation_deg:.0f} degrees from the row: {plane.readout_reason}"
    )

# %% [markdown]
# ## 4. A bone cyst with two needles
#
# One needle injects, one vents. The cavity is a region: each tip may lie anywhere in it, but not nearer
# than 10 mm to the other tip, and the shafts must stay apart. Paths that fit together are listed as pairs.

# %%
cyst = TargetRegion(
    name="region:bone_cyst",
    mask=structures["bone_cyst"].mask,
    centre_lps_mm=middle_of(structures, "bone_cyst"),
)
rule = planner.load_protocol("bone_cyst").two_needles
print(
    f"tips apart: {rule.spacing.value:g} mm ({rule.spacing.evidence}); shafts: {rule.clearance.value:g} mm"
)
two = planner.plan(
    volume,
    None,
    "bone_cyst",
    structures,
    region=cyst,
    top=6,
    entry_spacing_mm=3.0,
    min_separation_mm=15.0,
)
for pair in two.pairs:
    print(
        f"paths {pair.first_rank} and {pair.second_rank}: tips {pair.tip_spacing_mm:.1f} mm apart, "
        f"{pair.clearance_mm:.1f} mm between the shafts"
    )
assert two.pairs
for picture in path_pictures(two, top=1):
    display(Image(data=picture.content, width=900))

# %% [markdown]
# ## 5. A tumour, and a NO
#
# In a sarcoma the needle track is cut out with the tumour, so it must not open another compartment. In
# this patient the tumour can be reached from the side:

# %%
spared = {"thigh_posterior_compartment_left": "avoid:0", "thigh_medial_compartment_left": "avoid:0"}
free_volume, free = load_thigh(patient, spared, out / "free")
access = planner.plan(
    free_volume,
    middle_of(free, "soft_tissue_tumour"),
    "tumour_ablation",
    free,
    top=1,
    entry_spacing_mm=4.0,
)
print(access.verdict.upper(), "-", access.trajectories[0].words)

# %% [markdown]
# In this one the posterior compartment wraps around it. No path, and the reason by name:

# %%
wrapped = ScenePatient(origin_lps_mm=(60.0, -20.0, 400.0), thigh_wrap=True)
closed_volume, closed = load_thigh(wrapped, spared, out / "wrapped")
refused = planner.plan(
    closed_volume,
    middle_of(closed, "soft_tissue_tumour"),
    "tumour_ablation",
    closed,
    top=1,
    entry_spacing_mm=4.0,
)
print(refused.verdict.upper(), "- paths:", len(refused.trajectories))
for explanation in refused.explanation[:4]:
    print("-", explanation.message)
assert not refused.trajectories

# %% [markdown]
# ## 6. Check and hand over

# %%
file = planner.save_plan(two, out / "plan.json")
report = planner.verify_plan(planner.load_plan(file), volume, structures)
print(report.to_text())
assert report.ok

# %%
command = [sys.executable, "-m", "planner", "export", str(file), "--to", "csv", "--to", "markups"]
print(subprocess.run([*command, "--quiet"], check=True, capture_output=True, text=True).stdout)
print("written:", *sorted(path.name for path in out.iterdir() if path.is_file()))

# %% [markdown]
# What this does not tell: how far the heat reaches, whether several positions are needed, whether the
# tip is where the image shows it. See `docs/HAZARDS.md` and `docs/procedures.md`.
