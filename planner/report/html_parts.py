"""Pieces of HTML. Every text passes through ``escaped``: a name can hold anything."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from planner.model import Verdict
from planner.report.style import plain

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for the report: nothing but what is in it; no script at all."""


class Html(str):
    """Text that is HTML already; any other text is escaped before it gets in."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of a plan: its file name without suffix, its bytes and what they are."""

    name: str
    content: bytes
    mime: str = "image/png"


def escaped(text: str) -> Html:
    """The text on one line, without control characters, harmless in HTML and attributes."""
    return text if isinstance(text, Html) else Html(html.escape(plain(text), quote=True))


def element(tag: str, *content: str, cls: str = "") -> Html:
    """``<tag class="cls">content</tag>``; texts that are not ``Html`` are escaped."""
    attribute = f' class="{escaped(cls)}"' if cls else ""
    return Html(f"<{tag}{attribute}>{''.join(escaped(c) for c in content)}</{tag}>")


def joined(parts: Iterable[str], between: str = "\n") -> Html:
    """Pieces one after the other."""
    return Html(between.join(escaped(part) for part in parts))


def bullets(texts: Iterable[str]) -> Html:
    """A list; nothing for no text."""
    rows = [element("li", text) for text in texts]
    return element("ul", *rows) if rows else Html("")


def tag(verdict: Verdict) -> Html:
    """A verdict as a coloured word."""
    return element("span", verdict.upper(), cls=f"tag v-{verdict}")


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Iterable[int] = ()
) -> Html:
    """A table with a head; the columns ``numeric`` are set flush right. Nothing for no row."""
    right = set(numeric)
    body = [
        element(
            "tr",
            *(element("td", cell, cls="n" if n in right else "") for n, cell in enumerate(row)),
        )
        for row in rows
    ]
    if not body:
        return Html("")
    head = [element("th", c, cls="n" if n in right else "") for n, c in enumerate(columns)]
    return element("table", element("thead", element("tr", *head)), element("tbody", *body))


def facts(rows: Iterable[tuple[str, str]]) -> Html:
    """A table of names and values without a head."""
    body = [element("tr", element("td", name), element("td", value)) for name, value in rows]
    return element("table", element("tbody", *body), cls="facts") if body else Html("")


def figure(picture: Picture, caption: str, *, cls: str = "") -> Html:
    """A picture inside the file itself, with its caption."""
    data = base64.b64encode(picture.content).decode("ascii")
    image = Html(f'<img alt="{escaped(caption)}" src="data:{picture.mime};base64,{data}">')
    return element("figure", image, element("figcaption", caption), cls=cls)


def page(title: str, style: str, body: Iterable[str]) -> str:
    """The whole file."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            element("title", title),
            f"<style>{style}</style></head>",
            "<body>",
            joined(body),
            "</body></html>",
            "",
        ]
    )
