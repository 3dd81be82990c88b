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
# # Planning a needle path on the phantom
#
# **Research use only. Not a medical device.** The images are synthetic: see `sample_data/README.md`.
#
# The story: a prone patient, a lumbar MR study, masks of the anatomy. The needle is to reach the
# upper half of the left L4/L5 foramen, beside the nerve root. We ask for paths, look at them, move the
# target, change the needle, ask for something impossible, and check one path by hand.
#
# Everything here is public API. Points are LPS (+x left, +y back, +z head) in millimetres.

# %%
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from IPython.display import Image, display

import planner
from planner.report import summary_text, write_figures

places = [Path("sample_data"), Path("../sample_data")]
places.append(Path(planner.__file__).resolve().parents[1] / "sample_data")
study = next(place for place in places if (place / "plain" / "truth.json").is_file()) / "plain"
out = Path(tempfile.mkdtemp(prefix="plan_on_phantom_"))

# %% [markdown]
# ## 1. The study
#
# `load_volume` reads a DICOM folder and refuses one whose slices do not make a regular volume.
# `load_structures` puts every mask on the image's grid. Each structure has a role; names of known
# segmenters get theirs from a table, an unknown name is avoided.

# %%
volume = planner.load_volume(study / "dicom")
structures = planner.load_structures(study / "structures.seg.nrrd", like=volume)
targets = json.loads((study / "truth.json").read_text(encoding="utf-8"))["targets_lps_mm"]

print("shape [k, j, i]", volume.grid.shape_kji, " spacing", volume.grid.spacing_kji_mm.round(2), "mm")
print("position", volume.source.patient_position, " warnings:", *volume.source.warnings)
for role in planner.model.StructureRole:
    names = [s.name for s in structures.with_role(role)]
    print(f"{role:8} {len(names):3}  {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}")

# %% [markdown]
# ## 2. A plan
#
# The foramen is derived from the labels of the bones; tip and entry are chosen together. A session
# keeps the skin and the distance fields, so that the next target is cheap.

# %%
foramen = planner.find_region("foramen:L4-L5:left:upper", structures)
session = planner.PlanningSession(
    volume, structures, procedure="transforaminal_epidural", needle="22G-90", top=3
)
result = session.plan(region=foramen)
print(summary_text(result))

# %% [markdown]
# A path is as good as its worst finding: here a caution, for the safe triangle is small and the root
# is near. This is what was measured on the first one. `binding` is the structure with the least room
# over its margin.

# %%
best = result.trajectories[0]
print(best.words)
print("entry", best.entry_lps_mm.round(1), " tip", best.tip_lps_mm.round(1))
for clearance in sorted(best.clearances, key=lambda c: c.clearance_mm - c.required_mm)[:6]:
    print(f"{clearance.structure:24} {clearance.clearance_mm:6.2f} mm, needs {clearance.required_mm:g}")
for finding in best.findings:
    if finding.constraint != "clearance":
        print(finding.constraint, finding.structure or "", finding.measured, finding.unit, finding.verdict)

# %% [markdown]
# ## 3. Pictures
#
# One panel per path: along the needle twice, across it at the tip and at the closest point. The skin
# view colours every entry that was tried. Without OpenGL the skin view is left out, with a warning.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("default")
    pictures = write_figures(result, out / "figures", top=1)
for picture in pictures:
    display(Image(filename=str(picture), width=900))

# %% [markdown]
# ## 4. Why the other entries were refused
#
# Each candidate carries the first constraint that it failed.

# %%
for name, count in sorted(result.rejected_counts.items(), key=lambda item: -item[1]):
    print(f"{count:6}  {name}")
print(f"{int(result.candidates.feasible.sum()):6}  feasible, of {len(result.candidates)}")

# %% [markdown]
# ## 5. The target moves
#
# The patient breathed out, or the radiologist clicked 2 mm higher: plan again, now to a point.

# %%
target = best.tip_lps_mm
for shift in ([0.0, 0.0, 2.0], [1.0, 0.0, -1.0], [0.0, -2.0, 0.0]):
    start = time.perf_counter()
    moved = session.plan(target + np.array(shift))
    took_ms = 1000 * (time.perf_counter() - start)
    first = moved.trajectories[0] if moved.trajectories else None
    room = "no path" if first is None else f"{first.binding.structure} {first.binding.clearance_mm:.2f} mm"
    print(f"shift {shift}: {moved.verdict:8} {len(moved.candidates)} candidates in {took_ms:.0f} ms; {room}")

# %% [markdown]
# ## 6. Two needles
#
# A thicker needle never has more room. The clearance falls by the difference of the radii.

# %%
for needle in ("25G-90", "14G-100"):
    plan = planner.plan(volume, target, "transforaminal_epidural", structures, needle, top=1)
    print(
        f"{needle:8} radius {plan.needle.radius_mm:.3f} mm: {plan.verdict}, "
        f"{int(plan.candidates.feasible.sum())} feasible entries, widest certain clearance "
        f"{np.nanmax(plan.candidates.clearance_bound_mm):.2f} mm"
    )

# %% [markdown]
# ## 7. An impossible target
#
# The lesion inside the L5 body cannot be reached with a procedure that forbids bone. That is a
# result, not an error: the planner says which constraint is in the way and what would open a path.

# %%
impossible = session.plan(targets["vertebra_L5_lesion"])
print(impossible.verdict, len(impossible.trajectories))
for explanation in impossible.explanation:
    print("-", explanation.message)

# %% [markdown]
# The same lesion with the procedure that is meant for it, through the pedicle: see `biopsy.py`.

# %% [markdown]
# ## 8. One path, checked by hand
#
# `exact_clearance_mm` measures any path against any mask: axis to the nearest voxel box, less the
# needle's radius. The plan reports the same number, rounded down to 0.01 mm.

# %%
structure = best.binding.structure
exact = planner.exact_clearance_mm(
    best.entry_lps_mm,
    best.tip_lps_mm,
    structures[structure].mask,
    needle_radius_mm=result.needle.radius_mm,
)
print(f"{structure}: exact {exact:.4f} mm, reported {best.binding.clearance_mm:.2f} mm")
assert exact - 0.01 <= best.binding.clearance_mm <= exact + 1e-6

# %% [markdown]
# ## 9. Save, read, verify
#
# The file holds every number. `verify_plan` recomputes each of them another way, from the image and
# the masks.

# %%
file = planner.save_plan(result, out / "plan.json")
report = planner.verify_plan(planner.load_plan(file), volume, structures)
print(report.to_text())
assert report.ok

# %% [markdown]
# What this does not tell: whether the masks are right, whether the needle stays straight, and
# whether the patient has moved. See `docs/HAZARDS.md`.
