"""What `logolens serve` can be told: where it listens, what it takes, and how much at a time."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from logolens.config.base import VIEWS, check, same, setting
from logolens.config.decoding import Limits
from logolens.config.devices import device_setting
from logolens.config.scanning import DecodeSettings
from logolens.errors import UsageError

__all__ = ["ServeSettings"]


@dataclass(frozen=True)
class ServeSettings:
    """Where the service listens, what it takes, and how much of it at a time."""

    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0 or :: for all, which wants a token")
    port: int = setting(8000, "port to listen on; 0 takes a free one", low=0, high=65_535)
    workers: int = setting(1, "processes, each with its own copy of the network and its own queue", low=1, high=64)
    threads: int | None = setting(
        None,
        "threads that run the network, in each process; one more than its processors if not given, so that none rests while "
        "one waits",
        low=1,
        high=512,
    )
    device: str = device_setting()
    store: Path | None = setting(None, "result store of a scan that the page shows beside")
    views: str = setting(
        "bundle",
        "where images are looked at when a request does not say: as the bundle was trained, at the whole alone (fastest), "
        "closer where that leaves doubt (auto), or at squares all over (tiles)",
        choices=("bundle", *VIEWS),
    )
    token_file: Path | None = setting(
        None, "file that holds the token which requests must bring; the variable LOGOLENS_TOKEN if not given"
    )
    allow_urls: bool = setting(False, "let requests name images by URL; they are fetched from public addresses alone")
    cors: tuple[str, ...] = setting(
        (), "origin whose pages may use the service, as https://example.org, or * for all; may be repeated"
    )
    allow_host: tuple[str, ...] = setting(
        (),
        "host name that requests may name beside localhost, * for any; may be repeated. If not given, any but on a loopback "
        "address",
    )
    queue: int = setting(
        64, "most images that are taken on at a time; more wait for room, and are then turned away", low=1, high=100_000
    )
    fetch_queue: int = setting(
        64, "most images that wait at a time to be fetched by URL, in a room of their own", low=1, high=100_000
    )
    patience: float = setting(
        1.0,
        "seconds that a request waits for room before it is turned away",
        low=0.0,
        high=60.0,
    )
    queue_bytes: int = setting(512_000_000, "most bytes of bodies that are held at a time", low=1_000_000)
    max_body: int = setting(64_000_000, "largest body of a request, in bytes", low=1_000)
    max_images: int = setting(64, "most images in a request", low=1, high=10_000)
    max_pixels: int = same(Limits, "max_pixels")
    max_bytes: int = setting(32_000_000, "largest image file, in bytes", low=1)
    batch: int = setting(2, "most images that go through the network side by side", low=1, high=256)
    deadline: float = setting(30.0, "seconds after which a request is given up with 504", low=0.1, high=3_600.0)
    body_seconds: float = setting(15.0, "seconds that a request's body may take to arrive", low=0.1, high=3_600.0)
    body_rate: int = setting(
        1_000,
        "bytes a second that a request's body must bring on average, after its first three seconds; 0 for any",
        low=0,
    )
    header_seconds: float = setting(
        10.0, "seconds that a connection may take to say what it wants", low=0.1, high=600.0
    )
    drain_seconds: float = setting(30.0, "seconds for what was taken on when the service is told to end", low=0.0)
    reload_seconds: float = setting(
        2.0, "seconds between two looks whether a bundle has changed; 0 never looks", low=0.0
    )
    log_format: str = setting(
        "text",
        "lines for people, or one JSON object a line, then with one for each request (no image names, no tokens)",
        choices=("text", "json"),
    )
    isolate: bool = setting(True, "decode in processes with limits, so that no image can end the service")
    decode_seconds: float = setting(10.0, "most seconds that decoding an image may take", low=0.1)
    decode_memory: int = same(DecodeSettings, "decode_memory")

    def __post_init__(self) -> None:
        check(self)
        if not self.host.strip():
            raise UsageError("host is empty; give an address such as 127.0.0.1, or leave it out.")
        for origin in self.cors:
            scheme, mark, rest = origin.partition("://")
            if origin != "*" and not (mark and scheme in ("http", "https") and rest and not set(rest) & set("/?# ")):
                raise UsageError(
                    f"cors is {origin!r}; name an origin without a path, such as https://example.org, or * for all."
                )
        if any(not host.strip() or "/" in host for host in self.allow_host):
            raise UsageError("allow-host must be a bare host name such as logos.example.org, or * for any.")

    def limits(self) -> Limits:
        """What is refused unread of an image."""
        return Limits(max_pixels=self.max_pixels, max_bytes=self.max_bytes)

    def decode_settings(self) -> DecodeSettings:
        """The part of these settings that decoding needs."""
        return DecodeSettings(**{spec.name: getattr(self, spec.name) for spec in dataclasses.fields(DecodeSettings)})
