"""Which addresses a request may go to.

A page can name any host, and a host's name can stand for any address: the cloud's metadata service, a printer, a
database on this machine. So a name is resolved once, every address that comes is held against what is public, and the
connection is made to one of those very addresses, never to the name again.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore2

from logolens.errors import ImageError

__all__ = ["Clock", "GuardedBackend", "NotPublicError", "is_private_literal", "is_public"]

_MOST_TRIED = 4

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's host of every virtual machine, at an address that looks public
        "192.88.99.0/24",
        "fec0::/10",
        "5f00::/16",
        "3fff::/20",
        "64:ff9b:1::/48",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def is_public(address: str) -> bool:
    """Whether an address, as the resolver gave it, is one of the open internet."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if any(not is_public(str(inner)) for inner in _within(found)):
            return False
        if found.ipv4_mapped is not None:
            return True
        if found.is_site_local or found in _COMPATIBLE:
            return False
    if any(found in network for network in _NOT_PUBLIC if network.version == found.version):
        return False
    # Multicast addresses count as global.
    return found.is_global and not (found.is_private or found.is_multicast or found.is_link_local or found.is_loopback)


def is_private_literal(host: str) -> bool:
    """Whether a host names an address that is not public without being looked up, as when a proxy does the looking up."""
    if host.rstrip(".") == "localhost" or host.endswith(".localhost"):
        return True
    if host.startswith("["):
        return not is_public(host.strip("[]"))
    try:
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        return False


def _within(address: ipaddress.IPv6Address) -> Iterable[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to by translation or in a tunnel."""
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


class Clock(threading.local):
    """Until when this thread's request may take. A server that sends a byte now and then holds no thread longer."""

    deadline: float = float("inf")

    def left(self, timeout: float | None) -> float:
        """What remains of a timeout.

        Raises:
            TimeoutError: nothing remains.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left if timeout is None else min(left, timeout)


class NotPublicError(ImageError):
    """A host has an address that is not public. The message tells which, and so is not for those who are strangers here."""


class GuardedBackend(httpcore2.NetworkBackend):
    """Makes the connections of an httpcore pool, to public addresses alone unless others are allowed.

    The pool asks it for a host by name; TLS goes on verifying that name, whatever address was connected to.
    """

    def __init__(self, clock: Clock, *, allow_private: bool) -> None:
        self._inner = httpcore2.SyncBackend()
        self._clock = clock
        self._allow_private = allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Resolve, check, connect.

        Raises:
            NotPublicError: the host has an address that is not public.
            ImageError: the host has no address.
        """
        addresses = _resolve(host, port)
        if not self._allow_private and (refused := next((each for each in addresses if not is_public(each)), None)):
            named = host if host == refused else f"{host} ({refused})"
            raise NotPublicError(
                f"{named} is not a public address, so nothing is fetched from it. If it is yours, allow it with "
                "--allow-private."
            )
        failure: Exception = httpcore2.ConnectError("no address")
        for address in addresses[:_MOST_TRIED]:
            try:
                stream = self._inner.connect_tcp(
                    address, port, _left(self._clock, timeout, connecting=True), local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._clock)
        raise failure

    def connect_unix_socket(self, *_: object, **__: object) -> httpcore2.NetworkStream:
        """Never: nothing here asks for one."""
        raise ImageError("Sockets of this machine are not connected to.")

    def sleep(self, seconds: float) -> None:
        """Wait, as the pool does between its own tries."""
        time.sleep(seconds)


class _TimedStream(httpcore2.NetworkStream):
    """A connection each of whose steps ends at the request's deadline."""

    def __init__(self, inner: httpcore2.NetworkStream, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(self._clock, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(self._clock, timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = _left(self._clock, timeout, connecting=True)
        return _TimedStream(self._inner.start_tls(ssl_context, server_hostname, left), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(clock: Clock, timeout: float | None, *, connecting: bool = False) -> float:
    try:
        return clock.left(timeout)
    except TimeoutError:
        kind = httpcore2.ConnectTimeout if connecting else httpcore2.ReadTimeout
        raise kind("the time for this answer is over") from None


def _resolve(host: str, port: int) -> list[str]:
    """The host's addresses. The resolver also reads 2130706433, 0x7f.1 and 017700000001, as 127.0.0.1."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise httpcore2.ConnectError(f"{host} cannot be looked up just now") from error
        raise ImageError(f"There is no host named {host}; check the address.") from error
    except (UnicodeError, OSError) as error:
        raise ImageError(f"{host} cannot be looked up ({error}); check the address.") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
