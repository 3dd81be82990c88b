"""What stands above every picture: its title, the banner and the verdict."""

from __future__ import annotations

from matplotlib.figure import Figure

from planner.model import PlanResult, Verdict
from planner.report.style import BANNER, VERDICT_COLOUR, drawable, shortened

TITLE_CHARACTERS = 45
_TITLE_PX, _BANNER_PX = 38, 76
"""Middle of the two lines, from the top."""


def procedure_title(result: PlanResult) -> str:
    """The procedure's title, short enough for one line beside the verdict."""
    return shortened(drawable(result.protocol.title), TITLE_CHARACTERS)


def draw_header(
    figure: Figure, title: str, verdict: Verdict, meaning: str, *, margin_px: float
) -> None:
    """Title and banner on the left, the verdict and its meaning on the right."""
    width_px, height_px = figure.get_size_inches() * figure.dpi
    left, right = margin_px / width_px, 1 - margin_px / width_px
    first, second = 1 - _TITLE_PX / height_px, 1 - _BANNER_PX / height_px
    figure.text(left, first, title, fontsize=20, fontweight="bold", va="center", parse_math=False)
    figure.text(left, second, BANNER, fontsize=13, color="#b00020", va="center", fontweight="bold")
    figure.text(
        right,
        first,
        f" {verdict.upper()} ",
        fontsize=22,
        fontweight="bold",
        color="white",
        ha="right",
        va="center",
        bbox={
            "boxstyle": "round,pad=0.25",
            "facecolor": VERDICT_COLOUR[verdict],
            "edgecolor": "none",
        },
    )
    figure.text(
        right,
        second - 4 / height_px,
        meaning,
        fontsize=13,
        color=VERDICT_COLOUR[verdict],
        ha="right",
        va="center",
    )
