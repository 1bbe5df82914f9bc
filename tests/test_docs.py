"""What the pages of the documentation point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_fcn.config.catalogue import LOSS_WORDS, NETWORK_WORDS

TOP = Path(__file__).parents[1]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [x for x in LINK.findall(page.read_text()) if "://" not in x]
    assert not [x for x in links if not (page.parent / x).exists()]


def test_every_network_and_loss_is_explained() -> None:
    networks = (TOP / "docs" / "networks.md").read_text()
    losses = (TOP / "docs" / "losses.md").read_text()
    missing = [n for n in NETWORK_WORDS if f"`{n}`" not in networks]
    missing += [n for n in LOSS_WORDS if f"`{n}`" not in losses]
    assert not missing
