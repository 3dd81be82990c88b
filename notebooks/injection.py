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
# # Injections: sacroiliac joint and foramen, asked for by name
#
# **Research use only. Not a medical device.** The images are synthetic: see `sample_data/README.md`.
#
# Nobody wants to click a point into a joint space of two millimetres. Here the target is asked for by
# its name; the program finds the *region* in which a tip may lie from the labels of the bones, and
# chooses tip and entry together. A person must look at that region before trusting it.
#
# Points are LPS (+x left, +y back, +z head) in millimetres.

# %%
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from IPython.display import Image, display

import planner
from planner.anatomy import find_region
from planner.report import path_pictures, summary_text

places = [Path("sample_data"), Path("../sample_data")]
places.append(Path(planner.__file__).resolve().parents[1] / "sample_data")
study = next(place for place in places if (place / "plain" / "truth.json").is_file()) / "plain"
out = Path(tempfile.mkdtemp(prefix="injection_"))

volume = planner.load_volume(study / "dicom")
structures = planner.load_structures(study / "structures.seg.nrrd", like=volume)
truth = json.loads((study / "truth.json").read_text(encoding="utf-8"))["targets_lps_mm"]

# %% [markdown]
# ## 1. The joint
#
# The sacroiliac joint is the gap between sacrum and hip bone; the needle goes to the back of its lower
# third. `words` says how the region was derived, `measures` what was measured, `warnings` what to look
# at. On the phantom the truth is known: left and right mirror each other.

# %%
for side in ("left", "right"):
    joint = find_region(f"anatomy:si_joint:{side}", structures)
    print(
        joint.name,
        "preferred tip",
        joint.centre_lps_mm.round(1),
        "true joint",
        truth[f"si_joint_{side}"],
    )
    print("  ", joint.words)
    for key, value in joint.measures.items():
        print(f"   {key:28} {value:7.2f}")
    print("   warnings:", joint.warnings or "none")

# %% [markdown]
# ## 2. What the procedure asks, and how sure each number is
#
# Every number carries a tag: **L** seen in the source, **M** general knowledge that nobody checked
# against a source, **C** computed, **E** an engineering default. A clinician edits and signs the file.

# %%
procedure = planner.load_protocol("si_joint_injection")
print(procedure.title, "-", procedure.target_definition)
for rule in procedure.margins:
    needed = "needed" if rule.required else "if there"
    print(f"  {rule.label:20} {rule.margin.value:5.1f} mm  {needed:9} {rule.margin.evidence}")
print("  axial angle (least, preferred, most):", procedure.axial_deg, procedure.approach_evidence)

# %% [markdown]
# ## 3. The plan
#
# All entries on the skin are tried with all sampled tips in the region.

# %%
left = find_region("si_joint:left", structures)
options = {"procedure": procedure, "structures": structures, "top": 3, "entry_spacing_mm": 3.0}
result = planner.plan(volume, None, region=left, **options)
print(summary_text(result))

# %% [markdown]
# The joint is a narrow slot: a needle that comes across its plane meets bone. The picture shows the
# derived region in light green. If it does not lie in the joint, nothing else on the page counts.

# %%
for picture in path_pictures(result, top=1):
    display(Image(data=picture.content, width=900))

# %% [markdown]
# Not only that a path passed, but by how much, and what the limit rests on:

# %%
best = result.trajectories[0]
for finding in best.findings:
    if finding.constraint in ("tip_in_region", "plane_angle", "joint_gap", "bone", "length"):
        print(
            f"{finding.constraint:16} {finding.verdict:8} {finding.measured} {finding.unit}  {finding.note}"
        )
evidence = {use.name: use.evidence for use in result.uses}
for clearance in sorted(best.clearances, key=lambda c: c.clearance_mm - c.required_mm)[:4]:
    name = clearance.structure
    print(
        f"{name:22} {clearance.clearance_mm:6.2f} mm, needs {clearance.required_mm:g}  ({evidence[name]})"
    )

# %% [markdown]
# ## 4. The foramen
#
# The transforaminal injection goes beside a nerve root, which must be near and must not be touched. The
# needle also hides part of what it is guided by: where its own artefact in the image is wider than the
# room that is left, the verdict is no more than CAUTION.

# %%
foramen = find_region("foramen:L4-L5:left", structures)
print(foramen.words, dict(foramen.measures))
epidural = planner.plan(
    volume,
    None,
    "transforaminal_epidural",
    structures,
    region=foramen,
    top=3,
    entry_spacing_mm=3.0,
)
print(summary_text(epidural))
for picture in path_pictures(epidural, top=1):
    display(Image(data=picture.content, width=900))

# %% [markdown]
# ## 5. Ways of NO
#
# A needle that is too short: the planner does not answer with the least bad path. It says what is in
# the way, how often, and what would open a path.

# %%
short = planner.plan(volume, None, region=left, needle="22G-40", **options)
print(short.verdict.upper(), "- paths:", len(short.trajectories))
for explanation in short.explanation:
    print("-", explanation.message)
assert not short.trajectories

# %% [markdown]
# A needle that is wider than the joint is in the labels meets bone on every way.

# %%
thick = planner.plan(volume, None, region=left, needle="14G-100", **options)
print(thick.verdict.upper(), *(e.message for e in thick.explanation[:2]), sep="\n- ")
assert not thick.trajectories

# %% [markdown]
# Without the nerve roots nobody knows how far they are: the verdict is UNKNOWN, and that never counts
# as safe.

# %%
kept = tuple(s for s in structures.structures if s.structure_class != "nerve")
blind = planner.plan(
    volume,
    None,
    "transforaminal_epidural",
    replace(structures, structures=kept),
    region=foramen,
    top=1,
)
print(blind.verdict.upper())
print(
    "\n".join(
        f"- {warning.message}" for warning in blind.warnings if warning.code == "missing_structure"
    )
)
assert blind.verdict == planner.Verdict.UNKNOWN

# %% [markdown]
# And a region that cannot be derived is refused; it is not guessed:

# %%
try:
    find_region("si_joint:left", replace(structures, structures=structures.structures[:3]))
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# ## 6. Check and hand over
#
# `verify_plan` derives the region anew from the labels and recomputes each claim another way.

# %%
file = planner.save_plan(result, out / "plan.json")
report = planner.verify_plan(planner.load_plan(file), volume, structures)
print(report.to_text())
assert report.ok

# %%
command = [sys.executable, "-m", "planner", "export", str(file), "--to", "csv", "--to", "markups"]
print(subprocess.run([*command, "--quiet"], check=True, capture_output=True, text=True).stdout)
print("written:", *sorted(path.name for path in out.iterdir() if path.is_file()))

# %% [markdown]
# What this does not tell: whether the labels are right, whether the needle stays straight, whether the
# patient has moved. See `docs/HAZARDS.md`, and `docs/anatomy_targets.md` for how each region is derived.
