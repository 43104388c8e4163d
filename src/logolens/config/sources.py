"""How images are gathered: how far a site is followed, how politely, and what is never fetched."""

from __future__ import annotations

from dataclasses import dataclass

from logolens._version import __version__
from logolens.config.base import check, setting
from logolens.errors import UsageError

__all__ = ["SourceSettings"]


@dataclass(frozen=True)
class SourceSettings:
    """Where images are looked for, and how others' servers are treated meanwhile."""

    depth: int = setting(10, "how many links a page of a web site may be away from the first; 0 reads one page", low=0)
    max_pages: int = setting(10_000, "most pages of one web site that are read", low=1)
    subdomains: bool = setting(False, "follow links to a web site's subdomains too")
    robots: bool = setting(True, "obey robots.txt and meta robots; leave them aside only on a site of your own")
    inside: bool = setting(True, "look into the archives and PDF files that folders and buckets hold")
    follow_links: bool = setting(False, "follow symbolic links below folders; each folder is still read once")
    column: str | None = setting(
        None, "column of a CSV or JSON Lines file that names the images; found by its name if not given"
    )
    allow_private: bool = setting(
        False, "fetch from private and local addresses too; never with addresses that others wrote"
    )
    proxy: str | None = setting(
        None, "address of a proxy for web requests, or env for the environment's; it then decides what can be reached"
    )
    rate: float = setting(10.0, "most requests a second to one host", low=0.01)
    connections: int = setting(4, "most requests at a time to one host", low=1, high=64)
    timeout: float = setting(20.0, "seconds that a server may stay silent", low=0.1)
    max_time: float = setting(120.0, "seconds that one answer may take in all", low=0.1)
    retries: int = setting(4, "how often a request is made again after 429, 5xx or a broken connection", low=0, high=20)
    max_wait: float = setting(60.0, "longest wait in seconds before a request is made again", low=0.0)
    max_redirects: int = setting(10, "most redirects in a row", low=0, high=50)
    max_page_bytes: int = setting(10_000_000, "largest web page or stylesheet, in bytes", low=1_000)
    max_members: int = setting(1_000_000, "most members of an archive", low=1)
    user_agent: str = setting(
        f"logolens/{__version__} (looks for logos in images)", "name that servers are told; add an address of yours"
    )

    def __post_init__(self) -> None:
        check(self)
        if not self.user_agent.isascii() or not self.user_agent.isprintable() or not self.user_agent.strip():
            raise UsageError("user-agent must be one line of plain ASCII text, as in 'logolens (you@example.org)'.")
