"""The look of the HTML report: one style sheet, for the screen and for A4 paper."""

from __future__ import annotations

from planner.model import Verdict
from planner.report.style import VERDICT_COLOUR

_BASE = """
:root { --ink: #1c2127; --soft: #5b6570; --line: #d5dae0; --tint: #f4f6f8; }
* { box-sizing: border-box; }
html { background: #e9ecef; }
body { margin: 0 auto; max-width: 1120px; padding: 0 36px 36px; background: white;
  color: var(--ink); font: 15px/1.45 "DejaVu Sans", "Segoe UI", "Helvetica Neue", Arial,
  sans-serif; overflow-wrap: break-word; -webkit-print-color-adjust: exact;
  print-color-adjust: exact; }
.banner { margin: 0 -36px 22px; padding: 7px 36px; background: #b00020; color: white;
  font-weight: bold; font-size: 13px; letter-spacing: .02em; }
h1 { margin: 0 0 4px; font-size: 27px; line-height: 1.2; }
h2 { margin: 30px 0 10px; padding-bottom: 4px; border-bottom: 2px solid var(--ink);
  font-size: 18px; break-after: avoid; }
h3 { margin: 18px 0 6px; font-size: 15px; break-after: avoid; }
p { margin: 6px 0; }
ul { margin: 6px 0; padding-left: 20px; }
li { margin: 3px 0; }
.meta, .note { color: var(--soft); font-size: 13px; }
.verdict { display: flex; gap: 22px; align-items: center; margin: 18px 0; padding: 14px 20px;
  border-radius: 6px; color: white; break-inside: avoid; }
.verdict .word { font-size: 36px; font-weight: bold; line-height: 1; white-space: nowrap; }
.verdict .meaning { font-size: 17px; font-weight: bold; }
.verdict .more { font-size: 14px; }
.alarm { margin: 0 0 18px; padding: 10px 18px; border: 3px solid; border-radius: 6px;
  break-inside: avoid; }
.alarm b { font-size: 16px; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 0 30px; }
.tiles { display: grid; grid-template-columns: repeat(5, 1fr); gap: 10px; margin: 12px 0; }
.tile { padding: 8px 12px; border: 1px solid var(--line); border-radius: 6px;
  background: var(--tint); break-inside: avoid; }
.tile .label { color: var(--soft); font-size: 12px; }
.tile .value { font-size: 20px; font-weight: bold; white-space: nowrap; }
.words { margin: 10px 0; font-size: 19px; font-weight: bold; line-height: 1.3; }
table { width: 100%; margin: 8px 0 12px; border-collapse: collapse; font-size: 13.5px; }
th { padding: 5px 8px; border-bottom: 2px solid var(--ink); text-align: left;
  vertical-align: bottom; font-size: 12px; }
td { padding: 5px 8px; border-bottom: 1px solid var(--line); vertical-align: top; }
tr { break-inside: avoid; }
thead { display: table-header-group; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.mono { overflow-wrap: anywhere; }
table.facts td:first-child { width: 30%; color: var(--soft); }
.tag { padding: 1px 7px; border-radius: 4px; color: white; font-size: 12px; font-weight: bold;
  white-space: nowrap; }
.mono { font-family: "DejaVu Sans Mono", Consolas, monospace; font-size: 12px; }
figure { margin: 12px 0; break-inside: avoid; }
figure img { display: block; max-width: 100%; margin: 0 auto; border: 1px solid var(--line); }
figcaption { color: var(--soft); font-size: 12.5px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; }
.sign { display: grid; grid-template-columns: 2fr 2fr 1fr; gap: 30px; margin-top: 44px;
  break-inside: avoid; }
.sign div { padding-top: 4px; border-top: 1px solid var(--ink); color: var(--soft);
  font-size: 12px; }
.block { break-inside: avoid; }
.limits { columns: 2; column-gap: 30px; font-size: 12.5px; }
.limits div { break-inside: avoid; }
@media screen and (max-width: 760px) { .columns, .pair { grid-template-columns: 1fr; }
  .tiles { grid-template-columns: 1fr 1fr; } }
@media screen and (max-width: 1100px) { body { padding: 0 16px 24px; }
  .banner { margin: 0 -16px 18px; padding: 7px 16px; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
  .columns { grid-template-columns: 1fr; } td { overflow-wrap: anywhere; } }
@media screen and (max-width: 860px) { table { display: block; overflow-x: auto; } }
@media print {
  html { background: white; }
  body { max-width: none; padding: 0; font-size: 10.5px; }
  .banner { margin: 0 0 10px; padding: 4px 10px; font-size: 10px; }
  .meta { margin: 2px 0; } .tiles { gap: 6px; margin: 6px 0; } figure { margin: 6px 0; }
  h1 { font-size: 19px; } h2 { margin: 16px 0 6px; font-size: 13.5px; } h3 { font-size: 11.5px; }
  table { font-size: 9.5px; } th { font-size: 9px; padding: 3px 5px; } td { padding: 3px 5px; }
  .meta, .note, figcaption { font-size: 9px; }
  .verdict { margin: 10px 0; padding: 8px 14px; }
  .verdict .word { font-size: 25px; } .verdict .meaning { font-size: 12.5px; }
  .verdict .more { font-size: 10.5px; }
  .alarm { margin-bottom: 10px; padding: 6px 12px; } .alarm b { font-size: 11.5px; }
  .words { font-size: 13px; } .tile { padding: 4px 8px; } .tile .label { font-size: 8.5px; }
  .tile .value { font-size: 13px; } .tag { font-size: 8.5px; } .mono { font-size: 8.5px; }
  figure.tall img { max-height: 158mm; } .limits { font-size: 9px; }
}
"""


_SHORT = 12
"""Characters of the plan's hash on every page."""


def style_sheet(plan_sha256: str) -> str:
    """The style sheet: colours of verdicts as in every picture, and what is on every page.

    Parameters
    ----------
    plan_sha256 : str
        Of plan.json: its beginning stands on each printed page, with the page's number, so
        that a page that lies alone says what it is and what it belongs to.
    """
    rules = [_BASE, page_rule(plan_sha256)]
    for verdict in Verdict:
        colour = VERDICT_COLOUR[verdict]
        rules.append(
            f".v-{verdict} {{ background: {colour}; }} .c-{verdict} {{ color: {colour}; }} "
            f".b-{verdict} {{ border-color: {colour}; }}"
        )
    return "\n".join(rules)


def page_rule(plan_sha256: str) -> str:
    """The CSS of a printed page: A4, research use, the plan's hash, and page n of m."""
    known = "".join(c for c in plan_sha256[:_SHORT] if c.isalnum())  # into CSS: no quote
    look = "font: bold 8.5px 'DejaVu Sans', Arial, sans-serif; color:"
    return (
        "@page { size: A4; margin: 12mm 12mm 15mm; "
        f'@bottom-left {{ content: "RESEARCH USE ONLY, not a medical device"; {look} #b00020; '
        "white-space: nowrap; } "
        f'@bottom-center {{ content: "plan {known}"; {look} #1c2127; }} '
        f'@bottom-right {{ content: "page " counter(page) " of " counter(pages); {look} #1c2127; }}'
        " }"
    )
