"""Links and anchors resolve; what a page names is there; prose is plain."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, blocks, links, name

LINKS = [
    pytest.param(path, link, id=f"{name(path)}-{link}") for path in PAGES for link in links(path)
]


def test_there_are_pages_and_links():
    assert len(PAGES) > 15
    assert len(LINKS) > 60


@pytest.mark.parametrize(("path", "link"), LINKS)
def test_a_link_between_pages_leads_somewhere(path, link):
    if link.startswith("https://"):
        return
    assert ":" not in link, "only https, or a path"
    file, _, anchor = link.partition("#")
    target = (path.parent / file).resolve() if file else path
    assert target.exists(), link
    assert target.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(target), link


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_has_one_title_and_no_heading_twice(path):
    text = path.read_text()
    assert text.startswith("# ")
    twice = [one for one in anchors(path) if one.rpartition("-")[0] in anchors(path)]
    assert not [one for one in twice if one.rpartition("-")[2].isdigit()]


@pytest.mark.parametrize("path", [path for path in PAGES if "docs" in path.parts], ids=name)
def test_a_file_that_a_page_names_is_there(path):
    for named in re.findall(
        r"`((?:shared|functions|infra|docs|tests)/[\w/.-]+?)(?:::\w+)?`", path.read_text()
    ):
        assert (ROOT / named).exists(), named


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_prose_is_plain(path):
    text = path.read_text()
    for block in blocks(path):
        text = text.replace(block.text, "")
    sold = (
        r"—|\b(seamless|effortless|powerful|robust|leverage|blazing|cutting-edge|simply|delve)\w*"
    )
    assert not re.search(sold, text, re.IGNORECASE)


def test_every_decision_is_listed_in_order():
    records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    listed = links(ROOT / "docs" / "decisions" / "README.md")
    assert listed == [record.name for record in records]
    assert [record.name[:4] for record in records] == [f"{n + 1:04}" for n in range(len(records))]
    for record in records:
        assert record.read_text().startswith(f"# {record.name[:4]} ")
        for part in ("**Decided.**", "**Why.**"):
            assert part in record.read_text()
