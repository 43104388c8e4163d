"""The package index's page is the README without what leads nowhere there: pictures and links into the repository.

Once the project has an address, links and pictures may be made absolute here instead.
"""

from __future__ import annotations

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

__all__ = ["IndexPage", "for_the_index"]


def for_the_index(text: str) -> str:
    """Markdown without pictures and relative links; a link's words stay."""
    text = re.sub(r"^!\[[^\]]*\]\((?!https?://)[^)]*\)\n\n?", "", text, flags=re.MULTILINE)
    return re.sub(r"\[([^\]]+)\]\((?!https?://)[^)]*\)", r"\1", text)


class IndexPage(MetadataHookInterface):
    """Gives the metadata its long description."""

    def update(self, metadata: dict[str, object]) -> None:
        """See hatchling."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_the_index(text)}
