"""The HTML report: one file, harmless whatever a plan holds, and it never looks safer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from planner.errors import ConfigError, InputError
from planner.io.plan_document import PlanDocument
from planner.io.plan_file import plan_document
from planner.model import PlanResult, Verdict
from planner.report.html_figure import trade_off
from planner.report.html_parts import Picture, element, escaped
from planner.report.html_paths import where_text
from planner.report.html_plan import as_result, procedure_of
from planner.report.html_report import report_html
from planner.report.html_style import style_sheet
from planner.report.text import not_checked_texts, summary_text, unknown_texts
from tests.mr_scene import with_mr

HASH = "12" * 32
DOT = Picture(name="path_01", content=b"\x89PNG\r\n\x1a\n" + b"x" * 9)
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&\u202e\x1b[31m{{7*7}}</style>"

VOID = {"meta", "img"}
ALLOWED = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "div",
    "h1",
    "h2",
    "h3",
    "p",
    "b",
    "span",
    "ul",
    "li",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "figure",
    "figcaption",
    "img",
}
ATTRIBUTES = {"class", "src", "alt", "lang", "charset", "content", "http-equiv", "name", "style"}


class _Reader(HTMLParser):
    """Tags in order, that they nest, their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def words(html: str) -> str:
    return " ".join(" ".join(read(html).text).split())


def html_of(result: PlanResult, pictures=(DOT,), protocol=True) -> str:
    return report_html(
        plan_document(result),
        pictures,
        plan_sha256=HASH,
        protocol=result.protocol if protocol else None,
    )


def assert_harmless(html: str) -> None:
    reader = read(html)
    assert reader.seen <= ALLOWED
    for tag, name, value in reader.attributes:
        assert name in ATTRIBUTES, (tag, name)
        if name == "src":
            assert re.fullmatch(r"data:image/(png|svg\+xml);base64,[A-Za-z0-9+/=]+", value)
        if name == "style":
            assert re.fullmatch(r"color:#[0-9a-f]{6}", value)
    assert html.count("<style>") == html.count("</style>") == 1
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert "url(" not in html
    assert "default-src 'none'" in html


def with_hostile_strings(node, key=""):
    """Every free text of a plan file replaced."""
    if isinstance(node, dict):
        return {
            (
                HOSTILE + str(n)
                if key in ("clearance_mm", "rejected", "clearance_without_sweep_mm")
                else k
            ): with_hostile_strings(v, k)
            for n, (k, v) in enumerate(node.items())
        }
    if isinstance(node, list):
        return [
            with_hostile_strings({**v, "name": f"{HOSTILE}{n}"}, key)
            if isinstance(v, dict) and key == "structures"
            else with_hostile_strings(v, key)
            for n, v in enumerate(node)
        ]
    kept = {"schema", "created_utc", "coordinate_system", "unit", "sha256", "file_sha256"}
    kept |= {"verdict", "role", "shape"}
    if not isinstance(node, str) or key in kept:
        return node
    return node if HOSTILE in node else HOSTILE + node


def test_one_file_without_script_or_network(plan_result):
    assert_harmless(html_of(plan_result))


@pytest.mark.parametrize("kind", ["plain", "mr", "hopeless"])
def test_hostile_texts_stay_texts(plan_result, hopeless_result, kind):
    result = {
        "plain": plan_result,
        "mr": with_mr(plan_result),
        "hopeless": hopeless_result,
    }[kind]
    content = with_hostile_strings(json.loads(plan_document(result).to_json()))
    plan = PlanDocument.model_validate_json(json.dumps(content))
    html = report_html(plan, [DOT], plan_sha256=HASH, protocol=None)
    assert_harmless(html)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\u202e" not in html
    assert "\x1b" not in html


def test_the_reader_of_this_test_sees_an_injection():
    with pytest.raises(AssertionError):
        assert_harmless("<style></style>default-src 'none'<img src='data:' onerror='x'>")


def test_it_answers_what_is_asked_first(plan_result):
    html = html_of(plan_result)
    text, best = words(html), plan_result.trajectories[0]
    assert text.index(plan_result.verdict.upper()) < text.index("What was asked")
    assert text.index("What was asked") < text.index("Depth, skin") < text.index("Alternatives")
    assert best.words in text
    assert f"{best.length_mm:.1f} mm" in text
    for item in best.clearances:
        assert item.structure in text
    for sentence in not_checked_texts(plan_result):
        assert sentence in text
    assert HASH in text
    assert plan_document(plan_result).image.sha256 in text


def test_what_was_not_checked_stands_beside_the_first_path(plan_result, hopeless_result):
    text = words(html_of(plan_result))
    assert text.index("Clearances, least room") < text.index("What was NOT checked")
    assert text.index("What was NOT checked") < text.index("Alternatives")
    # before the first picture: whoever stops there has read it
    html = html_of(plan_result)
    assert html.index("What was NOT checked") < html.index("<figure")
    assert html.index(">Warnings<") < html.index("<figure")
    for result in (plan_result, hopeless_result):
        said = words(html_of(result))
        assert said.count("What was NOT checked") == 1
        told = f"{len(not_checked_texts(result))} things not checked"
        if result.warnings:
            told += f" and {len(result.warnings)} warning"
        assert said.index(told) < said.index("What was asked")


def test_every_printed_page_says_what_it_is_and_belongs_to(plan_result):
    html = html_of(plan_result)
    rule = html[html.index("@page") :].partition("}\n")[0]
    assert "RESEARCH USE ONLY" in rule
    assert f'content: "plan {HASH[:12]}"' in rule
    assert 'content: "page " counter(page) " of " counter(pages)' in rule
    assert '"; }' not in style_sheet('"; } body { display: none')


def test_hashes_of_masks_are_short(plan_result):
    html = html_of(plan_result)
    plan = plan_document(plan_result)
    for record in (s for s in plan.structures if s.sha256 != plan.body.sha256):
        assert record.sha256[:8] in html
        assert record.sha256[:13] not in html


def test_the_worst_finding_of_the_first_path_stands_in_the_band(plan_result):
    best = plan_result.trajectories[0]
    worse = replace(
        best, findings=(*best.findings, replace(best.findings[0], verdict=Verdict.UNKNOWN))
    )
    result = replace(plan_result, trajectories=(worse, *plan_result.trajectories[1:]))
    assert plan_document(result).verdict is plan_result.verdict
    assert '<div class="verdict v-unknown">' in html_of(result)


def test_ras_is_lps_with_two_signs_turned(plan_result):
    text, entry = words(html_of(plan_result)), plan_result.trajectories[0].entry_lps_mm
    for x in (1.0, -1.0):
        point = entry * [x, x, 1.0]
        assert "(" + ", ".join(f"{v:.1f}" for v in point) + ")" in text


@pytest.mark.parametrize("verdict", [Verdict.UNKNOWN, Verdict.FAIL])
def test_what_is_not_safe_is_said_first_and_largest(unknown_result, hopeless_result, verdict):
    result = unknown_result if verdict is Verdict.UNKNOWN else hopeless_result
    assert result.verdict is verdict
    html = html_of(result)
    band = re.search(r'<div class="verdict v-(\w+)"><div class="word">(\w+)<', html)
    assert band is not None
    assert band.groups() == (str(verdict), verdict.upper())
    text = words(html)
    assert text.index(f"{verdict.upper()}. ") < text.index("What was asked")
    if verdict is Verdict.UNKNOWN:
        assert unknown_texts(result)[0] in text
        assert "treat as NOT safe" in text
    else:
        assert "No path was found." in text
        assert "opens at" in text or "removed" in text


def test_a_later_path_that_is_unknown_is_named_at_the_top(plan_result, unknown_result):
    worse = replace(unknown_result.trajectories[0], rank=2)
    result = replace(plan_result, trajectories=(plan_result.trajectories[0], worse))
    text = words(html_of(result))
    assert "no mask to avoid was given for: bowel" in text[: text.index("What was asked")]


def test_without_pictures_it_says_so(plan_result):
    text = words(html_of(plan_result, pictures=()))
    assert "No picture of path 1 is at hand." in text


def test_unknown_pictures_are_not_shown(plan_result):
    other = replace(DOT, name="holiday")
    assert html_of(plan_result, [DOT, other]).count("image/png") == 1


def test_mr_physics_and_planes_are_shown(plan_result):
    result = with_mr(plan_result)
    text = words(html_of(result))
    for needed in ("Needle artefact", "Scan planes to type in", "What another sequence would"):
        assert needed in text
    assert "As drawn mm" in text
    assert "Bandwidth per acquired pixel" in text
    assert result.implants[0].name in text


def test_the_plan_of_a_file_reads_as_the_plan_itself(plan_result, unknown_result):
    """All words but the search's own line and the procedure's are those of the plan."""
    for result in (plan_result, unknown_result, with_mr(plan_result)):
        again = as_result(plan_document(result), protocol=result.protocol)
        ours, theirs = (
            [
                line
                for line in summary_text(r).splitlines()
                if "Searched" not in line and "similar" not in line and "--" not in line
            ]
            for r in (again, result)
        )
        assert ours == theirs


def test_a_procedure_that_is_not_known_is_said(plan_result):
    text = words(html_of(plan_result, protocol=False))
    assert "The procedure that this plan was made with is not known here" in text
    assert "its list is not in the plan file" in text


def test_the_procedure_of_a_plan_is_that_of_its_hash(plan_result):
    from planner.protocols import load_protocol

    shipped = load_protocol("si_joint_injection")
    plan = plan_document(replace(plan_result, protocol=shipped))
    found = procedure_of(plan)
    assert found is not None
    assert found.sha256 == shipped.sha256
    opted = load_protocol("tumour_ablation").with_opt_in("nerve_protection")
    again = procedure_of(plan_document(replace(plan_result, protocol=opted)))
    assert again is not None and again.opted_in == ("nerve_protection",)
    edited = plan.model_copy(
        update={"procedure": plan.procedure.model_copy(update={"sha256": "0" * 64})}
    )
    assert procedure_of(edited) is None
    with pytest.raises(ConfigError, match="not the procedure"):
        procedure_of(edited, "si_joint_injection")


def test_more_candidates_than_any_search_are_refused(plan_result):
    plan = plan_document(plan_result)
    search = plan.search.model_copy(update={"candidates": 10**18})
    with pytest.raises(InputError, match="no search has tried"):
        as_result(plan.model_copy(update={"search": search}))


def test_no_patient_and_no_folder(plan_result):
    source = replace(
        plan_result.volume.source, description="Somebody^Private", files=("/home/Somebody/1.dcm",)
    )
    volume = replace(plan_result.volume, source=source)
    options = {**plan_result.options, "settings": {"path": "/home/Somebody"}, "who": "Somebody"}
    html = html_of(replace(plan_result, volume=volume, options=options))
    assert "Somebody" not in html


def test_trade_off_is_the_same_twice_and_needs_two_paths(plan_result):
    once, again = trade_off(plan_result), trade_off(plan_result)
    assert once is not None
    assert again is not None
    assert once.content == again.content
    assert b"<script" not in once.content
    assert trade_off(replace(plan_result, trajectories=plan_result.trajectories[:1])) is None


def test_where_says_how_deep_and_on_which_side(plan_result):
    path, item = plan_result.trajectories[0], plan_result.trajectories[0].clearances[0]
    along = (path.tip_lps_mm - path.entry_lps_mm) / path.length_mm
    on_needle = path.entry_lps_mm + 12.0 * along
    left = replace(
        item, on_needle_lps_mm=on_needle, on_structure_lps_mm=on_needle + np.array([5.0, 0, 0])
    )
    assert where_text(path, left) == "12 mm deep, to L"
    tip = replace(
        item,
        on_needle_lps_mm=path.tip_lps_mm,
        on_structure_lps_mm=path.tip_lps_mm + np.array([0, 0, -3.0]),
    )
    assert where_text(path, tip) == "at the tip, to F"
    lost = replace(item, on_needle_lps_mm=np.full(3, np.nan))
    assert where_text(path, lost) == "unknown"


def test_elements_escape_what_is_not_html():
    assert element("p", "<b>") == "<p>&lt;b&gt;</p>"
    assert element("p", element("b", "x")) == "<p><b>x</b></p>"
    assert escaped('"') == "&quot;"
