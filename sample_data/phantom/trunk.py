"""Skin, fat, muscles, vessels and organs around the spine (left and right told apart by sign)."""

import numpy as np

from sample_data.phantom import shapes
from sample_data.phantom.pelvis import crest_z_mm, wing_distance

# z, half width, back y, front y of the trunk without the buttocks
_TRUNK = np.array(
    [
        (-215, 170, 66, -98),
        (-160, 172, 68, -106),
        (-120, 171, 74, -110),
        (-80, 167, 80, -112),
        (-40, 158, 79, -113),
        (0, 149, 79, -114),
        (40, 145, 82, -116),
        (90, 147, 87, -118),
    ],
    float,
).T
SKIN_THICKNESS_MM = 1.8
TABLE_Y_MM = -111.0  # the belly rests flat on the table

# rows: z, centre x, centre y, half x, half y, turn (deg, positive: lateral end posterior)
MUSCLE_COLUMNS = {
    "erector_spinae": (
        (90, 33, 61, 30, 21, -10),
        (40, 33, 57, 30, 20, -10),
        (0, 32, 56, 28, 18, -12),
        (-40, 29, 58, 22, 14, -16),
        (-70, 25, 60, 15, 9, -16),
        (-98, 19, 62, 6, 3, -10),
    ),
    "multifidus": (
        (90, 11, 47, 8, 14, 8),
        (40, 12, 48, 10, 15, 8),
        (0, 13, 49, 11.5, 16, 8),
        (-40, 16, 51, 14, 16, 5),
        (-70, 17, 53, 15, 13, 0),
        (-100, 14, 55, 12, 8, 0),
        (-122, 9, 54, 5, 3, 0),
    ),
    "quadratus_lumborum": (
        (90, 52, 37, 17, 10, -14),
        (30, 60, 31, 21, 12, -16),
        (0, 67, 28, 24, 11.5, -20),
        (-20, 76, 25, 19, 8, -24),
    ),
    "psoas": (
        (90, 33, 0, 10, 13, 0),
        (40, 38, 0, 14, 18, 0),
        (0, 43, -3, 18.5, 22, 0),
        (-40, 48, -12, 19.5, 22, 10),
        (-70, 57, -27, 19, 19, 20),
        (-100, 68, -41, 17, 16, 25),
        (-140, 79, -58, 15, 15, 25),
        (-190, 86, -62, 15, 15, 20),
    ),
    "gluteus_maximus": (
        (-78, 50, 66, 10, 5, -25),
        (-100, 51, 63, 32, 13, -25),
        (-130, 57, 58, 44, 21, -25),
        (-160, 63, 53, 50, 27, -22),
        (-210, 68, 46, 52, 32, -20),
    ),
}  # fmt: skip


def skin_distance(x, y, z):
    """Trunk with lordotic back, spinal furrow, buttocks and cleft, belly flat on the table."""
    half_width, back_y, front_y = (np.interp(z, _TRUNK[0], _TRUNK[n]) for n in (1, 2, 3))
    centre_y = 0.42 * back_y + 0.58 * front_y
    half_y = np.where(y > centre_y, back_y - centre_y, centre_y - front_y)
    trunk = shapes.superellipse(x, y - centre_y, half_width, half_y, 2.5)
    furrow = (
        5.0
        * np.exp(-((x / 13.0) ** 2))
        * np.clip((y - 20.0) / 40.0, 0, 1)
        * np.clip((z + 90.0) / 40.0, 0, 1)
    )
    furrow = furrow + 14.0 * np.exp(-((x / 11.0) ** 2)) * np.clip(
        (y - 20.0) / 40.0, 0, 1
    ) * np.clip((-88.0 - z) / 50.0, 0, 1)  # natal cleft
    buttock = shapes.ellipsoid(np.abs(x), y, z, (64.0, 36.0, -168.0), (80.0, 66.0, 98.0))
    skin = shapes.smooth_union(trunk, buttock, 16.0) + furrow
    skin = shapes.smooth_intersection(skin, TABLE_Y_MM - y, 14.0)
    return skin + shapes.waviness(x, y, z, 4, 0.8)


def fat_thickness_mm(x, y, z):
    """Depth of the deep fascia under the skin."""

    def rise(q):
        return 1.0 / (1.0 + np.exp(-q))

    gluteal = 11.0 * rise((y - 30.0) / 10.0) * rise((-98.0 - z) / 14.0)
    midline = np.exp(-((x / 22.0) ** 2)) * np.clip((y - 20.0) / 30.0, 0, 1)
    return 9.0 + 3.5 * rise((y - 35.0) / 9.0) * (1.0 - midline) + gluteal * (1.0 - 0.9 * midline)


def fascia_distance(x, y, z):
    """The deep fascia: inside is muscle or cavity, outside subcutaneous fat."""
    return skin_distance(x, y, z) + fat_thickness_mm(x, y, z)


def subcutis_distance(x, y, z):
    """The fat layer between skin and deep fascia."""
    skin = skin_distance(x, y, z)
    return np.maximum(skin + SKIN_THICKNESS_MM, -skin - fat_thickness_mm(x, y, z))


def abdominal_wall_distance(x, y, z):
    """Oblique muscles at the flanks and the two recti in front."""
    fascia = fascia_distance(x, y, z)
    thick = 8.0 + 6.0 * np.clip((np.abs(x) - 70.0) / 40.0, 0, 1) * np.clip((z + 60.0) / 30.0, 0, 1)
    end_y = np.interp(z, (-62.0, -30.0), (-38.0, 46.0))  # below the crest only the front remains
    thick = thick * np.clip((end_y - 2.0 - y) / 26.0, 0.12, 1.0)  # aponeurosis towards the back
    wall = np.maximum(fascia, -fascia - thick)
    wall = np.maximum(wall, y - end_y)
    return np.maximum(wall, 2.5 - np.abs(x))  # linea alba


def muscle_distance(name: str, x, y, z, seed: int):
    """One of MUSCLE_COLUMNS on the side x > 0 (what bulges past the fascia is painted over)."""
    wavy = shapes.waviness(x, y, z, seed, 1.3)
    muscle = shapes.column(np.maximum(x, 0.0), y, z, MUSCLE_COLUMNS[name]) + wavy
    return np.maximum(muscle, 1.6 - x)


def iliacus_distance(x, y, z):
    """Muscle on the inner face of the iliac wing (x > 0)."""
    _, outer = wing_distance(x, y, z)
    below_crest = np.clip(crest_z_mm(y) - z, 0.0, None)
    thick = np.minimum(0.45 * below_crest, 17.0) * np.clip((12.0 - y) / 22.0, 0.0, 1.0) + 4.0
    muscle = np.maximum(-outer - thick, outer)
    return shapes.intersection(muscle, 8.0 - below_crest, 58.0 - x, y - 8.0, -58.0 - y)


def gluteus_medius_distance(x, y, z):
    """Muscles on the outer face of the iliac wing (x > 0), thin at the crest and in front."""
    _, outer = wing_distance(x, y, z)
    below_crest = np.clip(crest_z_mm(y) - z, 0.0, None)
    thick = np.minimum(0.62 * below_crest, 36.0) * np.clip((y + 72.0) / 40.0, 0.0, 1.0) + 3.0
    muscle = shapes.smooth_intersection(outer - thick, 3.0 - below_crest, 4.0)
    return shapes.intersection(muscle, -outer, 40.0 - x, -70.0 - y)


def piriformis_distance(x, y, z):
    """From the front of S2-S4 through the greater sciatic notch (x > 0)."""
    return shapes.tube(
        x,
        y,
        z,
        ((21.0, 31.0, -112.0), (52.0, 35.0, -134.0), (97.0, 33.0, -160.0)),
        (7.0, 10.5, 7.0),
    )


# name: points and radii; left vessels, arteries run in front of veins
VESSELS = {
    "aorta": (((9, -33, 100), (7, -31.5, 20), (3.5, -31, -6)), (9.0, 8.7, 8.2)),
    "inferior_vena_cava": (((-19, -29, 100), (-18.5, -28, 0), (-15.5, -26, -28)), (10.0, 9.6, 9.0)),
    "iliac_artery_left": (
        ((5, -31, -8), (24, -29, -40), (39, -24, -70), (58, -44, -108), (74, -76, -165)),
        (5.8, 5.4, 5.0, 4.4, 4.4),
    ),
    "iliac_artery_right": (
        ((2, -31, -8), (-20, -33, -40), (-36, -25, -70), (-57, -44, -108), (-73, -76, -165)),
        (5.8, 5.4, 5.0, 4.4, 4.4),
    ),
    "iliac_vein_left": (
        ((-12, -25, -29), (10, -20, -48), (33, -15, -74), (51, -30, -108), (68, -64, -165)),
        (6.0, 6.0, 5.6, 5.2, 5.0),
    ),
    "iliac_vein_right": (
        ((-17, -25, -29), (-27, -20, -52), (-38, -13, -76), (-51, -30, -108), (-67, -64, -165)),
        (6.4, 6.0, 5.6, 5.2, 5.0),
    ),
}
INTERNAL_ILIAC = ((39, -24, -70), (43, -4, -104), (46, 8, -140)), (4.0, 3.6, 3.0)


def vessel_distance(name: str, x, y, z):
    """One vessel; the internal iliac branches belong to the iliac arteries."""
    points, radii = VESSELS[name]
    vessel = shapes.tube(x, y, z, points, radii)
    if name.startswith("iliac_artery"):
        side = 1.0 if name.endswith("left") else -1.0
        vessel = np.minimum(vessel, shapes.tube(side * x, y, z, *INTERNAL_ILIAC))
    return vessel


def kidney_distance(side: int, x, y, z):
    """Lower pole of a kidney, the right one lower."""
    centre_z = 80.0 if side > 0 else 70.0
    return shapes.ellipsoid(
        side * x, y, z, (62.0, 10.0, centre_z), (26.0, 21.0, 50.0)
    ) + shapes.waviness(x, y, z, 9 + side, 1.0)


def bladder_distance(x, y, z):
    """Dome of the bladder, at the lower edge of the field of view."""
    return shapes.ellipsoid(x, y, z, (3.0, -58.0, -178.0), (46.0, 32.0, 40.0))


def bowel_loops(seed: int) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Course, radii and content of colon, sigmoid with rectum and small bowel loops."""
    ascending = np.array([(-98, -6, 100), (-100, -14, 30), (-96, -30, -25), (-82, -55, -62)], float)
    descending = np.array(
        [(99, -2, 100), (102, -10, 10), (98, -36, -42), (84, -62, -82), (46, -74, -108)], float
    )
    sigmoid = np.array(
        [
            (46, -74, -108),
            (8, -62, -120),
            (-14, -34, -118),
            (-4, -8, -132),
            (0, 6, -160),
            (0, 10, -220),
        ],
        float,
    )
    loops = [
        (ascending, np.array([21.0, 20.0, 20.0, 17.0]), "stool"),
        (descending, np.array([16.0, 15.0, 15.0, 14.0, 13.0]), "stool"),
        (sigmoid, np.array([13.0, 14.0, 14.0, 13.0, 15.0, 15.0]), "gas"),
    ]
    rng = np.random.default_rng(seed)
    for n in range(20):
        row, is_deep = divmod(n, 2)
        x_start = rng.uniform(-74.0, -58.0) if is_deep else rng.uniform(-80.0, -66.0)
        turns = np.linspace(0.0, 1.0, 13)
        xs = (x_start + rng.uniform(125.0, 150.0) * turns) * (-1) ** row
        phase = rng.uniform(0, 2 * np.pi, 2)
        ys = (-64.0 if is_deep else -87.0) + 4.0 * np.sin(7.0 * turns + phase[0])
        zs = 84.0 - 25.0 * row - 12.0 * is_deep + 8.0 * np.sin(9.0 * turns + phase[1])
        radii = 11.5 + 1.8 * np.sin(15.0 * turns + phase[0])
        loops.append(
            (np.stack([xs, ys, zs], 1), radii, ("fluid", "gas", "fluid", "stool")[rng.integers(4)])
        )
    return loops


def bowel_distance(loop, x, y, z):
    """Outer wall of one loop."""
    points, radii, _ = loop
    return shapes.tube(x, y, z, points, radii) + shapes.waviness(x, y, z, int(radii[0] * 100), 1.6)


def bowel_gas_distance(loop, x, y, z):
    """Gas of one loop: it rises to the posterior side, which is up in the prone patient."""
    points, radii, content = loop
    level = {"gas": -0.25, "fluid": 0.65, "stool": 0.6}[content]
    pieces = []
    for n in range(len(points) - 1):
        (x0, y0, z0), (dx, dy, dz) = points[n], points[n + 1] - points[n]
        t = ((x - x0) * dx + (y - y0) * dy + (z - z0) * dz) / (dx * dx + dy * dy + dz * dz)
        t = np.clip(t, 0.0, 1.0)
        radius = radii[n] + t * (radii[n + 1] - radii[n])
        gap = np.sqrt((x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2 + (z - z0 - t * dz) ** 2)
        pieces.append(np.maximum(gap - radius + 2.6, y0 + t * dy + level * radius - y))
    return shapes.union(*pieces)
