"""A run of the clean-up, for people: Markdown, or one HTML file with two small charts. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from shared.cleanup.notes import BOOKS
from shared.cleanup.tally import AGES
from shared.lines import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.cleanup.notes import CleanupRun, Told

_COLUMNS: Final = (*map(str, AGES), "more", "none")
_BAR, _GAP, _HEIGHT = 44, 12, 90
_LONGEST_CELL: Final = 500
_MARKS: Final = frozenset("|<>&[]`*\\")
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b2330;background:#fff}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #d5dae2;padding:.3rem;"
    "text-align:left;vertical-align:top}code{font-size:.85em;word-break:break-all}"
    "rect{fill:#2f6fb3}text{font-size:11px;fill:currentColor}"
    "@media(prefers-color-scheme:dark){body{color:#e6eaf0;background:#14181f}rect{fill:#6aa5e0}}"
)


def markdown(run: CleanupRun, told: Iterable[Told]) -> str:
    """The report as Markdown."""
    lines = [f"# Clean-up {run.id}", "", f"{summary(run)}", ""]
    if run.counts:
        lines += ["| finding | how often |", "|---|---|"]
        lines += [f"| {name} | {count:,} |" for name, count in sorted(run.counts.items())]
        lines.append("")
    for title, numbers in _charts(run):
        lines += [f"## {title}", "", "| days | how many |", "|---|---|"]
        lines += [f"| {_label(name)} | {numbers[name]:,} |" for name in _COLUMNS if name in numbers]
        lines.append("")
    rows = [f"| {one.name} | `{one.key}` | {_cell(one.sentence)} |" for one in told]
    if rows:
        lines += ["## Findings", "", "| finding | of | what |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def html(run: CleanupRun, told: Iterable[Told]) -> str:
    """The report as one HTML file, without scripts or anything from elsewhere."""
    counts = "".join(
        f"<tr><td>{escape(name)}<td>{count:,}" for name, count in sorted(run.counts.items())
    )
    findings = "".join(
        f"<tr><td>{escape(one.name)}<td><code>{escape(one.key)}</code><td>{escape(one.sentence)}"
        for one in told
    )
    charts = "".join(
        f"<h2>{escape(title)}</h2>{_chart(title, numbers)}" for title, numbers in _charts(run)
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Clean-up {escape(run.id)}</title><style>{_STYLE}</style>"
        f"<h1>Clean-up {escape(run.id)}</h1><p>{escape(summary(run))}</p>"
        f"<table><tr><th>finding<th>how often{counts}</table>{charts}"
        f"<h2>Findings</h2><table><tr><th>finding<th>of<th>what{findings}</table></html>\n"
    )


def summary(run: CleanupRun) -> str:
    """What the run has done, in a sentence or two."""
    state = {
        None: f"It is still running: {len(run.pending)} ECRs are left, {run.asked:,} asked for.",
        "observed": f"It only looked, since {run.observes}.",
        "braked": f"The brake stopped it: {run.wanted:,} at once are too many, and nothing was "
        f"asked for. The list's digest is {run.digest}.",
        "asked": f"It asked for {run.asked:,} and had {run.looked:,} looked at again.",
        "audited": f"Their accounts were asked {run.asked:,} times what they show.",
        "stopped": f"It stopped when it had asked for {run.asked:,}, since the list that it had "
        "noted could not be read again.",
        "released": f"An operator released its list: it asked for {run.asked:,}.",
    }[run.outcome]
    ecrs = sum(one != BOOKS for one in run.ecrs)
    return f"{run.seen:,} authorizations on {ecrs} ECRs were seen. {state}"


def _charts(run: CleanupRun) -> Iterator[tuple[str, dict[str, int]]]:
    if run.ages:
        yield "Ages of grants", run.ages
    if run.ends:
        yield "Ends of leases ahead", run.ends


def _chart(title: str, numbers: dict[str, int]) -> str:
    """Bars, one for each column of days; each says its number."""
    most = max(numbers.values())
    bars = []
    for place, name in enumerate(one for one in _COLUMNS if one in numbers):
        high = max(2, round(_HEIGHT * numbers[name] / most))
        left, top = place * (_BAR + _GAP), _HEIGHT - high + 16
        bars.append(
            f'<rect x="{left}" y="{top}" width="{_BAR}" height="{high}"/>'
            f'<text x="{left}" y="{top - 4}">{numbers[name]:,}</text>'
            f'<text x="{left}" y="{_HEIGHT + 32}">{escape(_label(name))}</text>'
        )
    width = len(bars) * (_BAR + _GAP)
    return (
        f'<svg role="img" aria-label="{escape(title)}" width="{width}" height="{_HEIGHT + 40}">'
        f"{''.join(bars)}</svg>"
    )


def _label(column: str) -> str:
    return {"more": "> 1 year", "none": "no end"}.get(column, f"<= {column} d")


def _cell(text: str) -> str:
    """A cell of a table: what Markdown would read as more than text is shown as it is."""
    line = one_line(text, _LONGEST_CELL)
    return "".join(f"&#{ord(one)};" if one in _MARKS else one for one in line)
