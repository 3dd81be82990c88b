"""What people look at: pictures of the paths and of the skin, texts of the plan.

Matplotlib and VTK are imported only when a picture is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.report.markdown import report_markdown
from planner.report.text import summary_text

if TYPE_CHECKING:
    from planner.report.figures import path_pictures, write_figures

__all__ = ["path_pictures", "report_markdown", "summary_text", "write_figures"]


def __getattr__(name: str) -> Any:
    if name in ("path_pictures", "write_figures"):
        from planner.report import figures

        return getattr(figures, name)
    raise AttributeError(f"module 'planner.report' has no attribute '{name}'")
