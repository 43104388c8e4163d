"""The service as processes: one, or several that share a port."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logolens.config import ServeSettings
from logolens.errors import UsageError, WorkerError, require
from logolens.serve import create_app
from logolens.serve.logs import log_config
from logolens.serve.security import TOKEN

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

__all__ = ["address_of", "application", "is_busy", "listen", "run", "server"]

_GIVEN = "_LOGOLENS_SERVE"
"""The variable in which a service of several processes hands them what it was told. It is no setting."""

_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder through which several processes share their figures."""

_FILES = 65_536

_WORKING = ("logolens-open-", "logolens-look-")
"""What the names of threads begin with that decode images and run the network."""


def run(
    bundles: Mapping[str, Path],
    settings: ServeSettings,
    token: str = "",
    listening: Callable[[str], object] = lambda address: None,
    factory: str = "logolens.serve.running:application",
    *,
    verbosity: int = 0,
) -> None:
    """Serve until told to end; what was taken on by then is answered.

    Args:
        bundles: the bundles' folders by name, the default first.
        settings: what the service takes.
        token: what requests must bring; empty if none is asked for.
        listening: is given the service's address once connections are taken.
        factory: what makes the application in each of several processes: `application`, or what calls it.
        verbosity: of the log: 1 for all detail, with a line for each request; -1 for warnings and errors alone. It is set up
            for the service and stays so; see `logs.logging_as`.

    Where the system has SIGHUP, it loads the bundles anew.

    Raises:
        UsageError: the address cannot be listened on.
        WorkerError: the service cannot be started.
        MissingExtraError: the extra ``serve`` is not installed.
    """
    for module in ("fastapi", "prometheus_client", "python_multipart", "uvicorn", "httptools"):
        require(module, "serve")
    logged = log_config(settings.log_format, verbosity)
    _take_short_turns()
    _allow_connections()
    # What decodes images in processes of its own need not know it.
    os.environ.pop(TOKEN, None)
    with listen(settings.host, settings.port) as bound, _ending_quietly():
        if settings.workers == 1:
            app = create_app(bundles, settings, token)
            _reload_on_hangup(app)
            service = _server(app, settings, logged)
            listening(address_of(bound))
            service.run([bound])
            if not service.started:
                raise WorkerError("The service could not be started; what it said above says why.")
            return
        with tempfile.TemporaryDirectory(prefix="logolens-serve-") as folder:
            given = {
                "bundles": {name: str(path) for name, path in bundles.items()},
                "settings": dataclasses.asdict(settings),
                "token": token,
            }
            os.environ |= {_MULTIPROCESS: folder, _GIVEN: json.dumps(given, default=str)}
            listening(address_of(bound))
            config = _config(factory, settings, logged, factory=True, workers=settings.workers)
            _supervise(config, bound)


def _take_short_turns() -> None:
    """Have threads that compute make way for the one that speaks HTTP, which else waits 5 ms for each at every step."""
    sys.setswitchinterval(0.001)


def _allow_connections() -> None:
    """Take as many files as the system lets this process have: each connection is one, and the usual 1,024 are soon held."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _supervise(config: uvicorn.Config, bound: socket.socket) -> None:
    from uvicorn.supervisors.multiprocess import Multiprocess

    is_terminal_gone = _terminal()

    class Supervisor(Multiprocess):
        """uvicorn's, which would replace the processes on SIGHUP and have none that is ready for a while."""

        def handle_hup(self) -> None:
            if is_terminal_gone():
                self.should_exit.set()
                return
            for process in self.processes:
                if process.pid is not None and process.process.is_alive():
                    os.kill(process.pid, signal.SIGHUP)

    Supervisor(config, sockets=[bound]).run()


def server(bundles: Mapping[str, Path], settings: ServeSettings, token: str = "") -> uvicorn.Server:
    """The service as a server of this process, to be run with a socket; the arguments are those of `run`.

    Its records go where the program has the library's records go.
    """
    return _server(create_app(bundles, settings, token), settings, None)


def _server(app: FastAPI, settings: ServeSettings, logged: dict[str, Any] | None) -> uvicorn.Server:
    import uvicorn

    return uvicorn.Server(_config(app, settings, logged))


def is_busy() -> bool:
    """Whether threads of a service that has ended are still in the middle of an image.

    They cannot be stopped, and a process that ends by the book takes the ground from under them: the network's library then
    aborts it. Such a process is to end at once (`os._exit`).
    """
    return any(thread.name.startswith(_WORKING) for thread in threading.enumerate())


def _reload_on_hangup(app: FastAPI) -> None:
    """Have SIGHUP load the bundles anew; but where it means that the terminal is gone, let it end the service as before."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        return
    is_terminal_gone = _terminal()

    def hung_up(*_: object) -> None:
        if is_terminal_gone():
            signal.raise_signal(signal.SIGTERM)
        else:
            app.state.reload()

    signal.signal(signal.SIGHUP, hung_up)


def _terminal() -> Callable[[], bool]:
    """What tells whether the terminal that there is now is gone; of a service that has none it never is."""
    terminal = next((stream for stream in (0, 1, 2) if _is_terminal(stream)), None)
    return lambda: terminal is not None and not _is_terminal(terminal)


def _is_terminal(stream: int) -> bool:
    try:
        return os.isatty(stream)
    except OSError:
        return False


def _config(app: Any, settings: ServeSettings, logged: dict[str, Any] | None, **more: Any) -> uvicorn.Config:
    import uvicorn

    from logolens.serve.protocol import Protocol, protocol_of

    # Where there are several processes, each is handed the class by name and sets the bounds itself, see `application`.
    several = more.get("workers", 1) > 1
    return uvicorn.Config(
        app,
        http=Protocol if several else protocol_of(settings.header_seconds, settings.body_seconds),
        ws="none",
        lifespan="on",
        log_config=logged,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        **more,
    )


def application() -> FastAPI:
    """The application in one of several processes, as `run` handed it on."""
    from logolens.serve.protocol import Protocol

    given = json.loads(os.environ.pop(_GIVEN))
    hints = typing.get_type_hints(ServeSettings)
    settings = ServeSettings(**{name: _typed(value, hints[name]) for name, value in given["settings"].items()})
    Protocol.header_seconds, Protocol.write_seconds = settings.header_seconds, settings.body_seconds
    app = create_app({name: Path(path) for name, path in given["bundles"].items()}, settings, given["token"])
    _reload_on_hangup(app)
    _take_short_turns()
    return app


def _typed(value: Any, hint: Any) -> Any:
    """A setting's value as it was before it was JSON."""
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if isinstance(value, str) and Path in typing.get_args(hint) else value


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address.

    Raises:
        UsageError: it cannot be had.
    """
    host = host.strip("[]")
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, number)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"host is {host!r}, which is no address of this machine; give one such as 127.0.0.1."
        ) from error
    try:
        if os.name == "posix":  # On Windows it would let two services share a port.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise UsageError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); give another --port or --host."
        ) from error
    bound.set_inheritable(True)
    return bound


def address_of(bound: socket.socket) -> str:
    """The address of what listens on a socket."""
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextlib.contextmanager
def _ending_quietly() -> Iterator[None]:
    """Let a polite request to end be a good end. uvicorn answers what it took on, and then raises the signal again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
