"""The service's log: lines for people, or one JSON object a line for programs, then with a line for each request.

No line tells what an image is called, where it was fetched, or which token was sent; of an address there is the route alone.
"""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

__all__ = ["JsonLines", "log_config", "log_request", "logging_as"]

_REQUESTS = logging.getLogger("logolens.serve.requests")

_FIELDS = "request"
"""The attribute of a record that holds what is told of a request."""


class JsonLines(logging.Formatter):
    """Writes a record as a JSON object in one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line: ``time`` (UTC), ``level``, ``logger`` and ``message``; ``traceback`` of an error, and a request's fields."""
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        return json.dumps(found)


def log_config(log_format: str, verbosity: int = 0) -> dict[str, Any]:
    """What `logging.config.dictConfig` is given.

    Args:
        log_format: ``text`` or ``json``; JSON has a line for each request.
        verbosity: 1 for all detail, requests among it; -1 for warnings and errors alone.
    """
    level = "WARNING" if verbosity < 0 else "DEBUG" if verbosity else "INFO"
    requests = level if log_format == "json" or verbosity > 0 else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"()": "logolens.io.names.ShownLines", "fmt": "%(asctime)s %(levelname)s %(message)s"},
            "json": {"()": "logolens.serve.logs.JsonLines"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format}},
        "loggers": {
            "logolens": {"handlers": ["stderr"], "level": level, "propagate": False},
            _REQUESTS.name: {"level": requests},
            "uvicorn": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
            # What is wrong with a form is told to who sent it, and would fill the log at anyone's will.
            "python_multipart": {"handlers": ["stderr"], "level": "CRITICAL", "propagate": False},
        },
    }


@contextmanager
def logging_as(config: Mapping[str, Any]) -> Iterator[None]:
    """Log as `log_config` says, and afterwards as before: who serves from a program of their own keeps their log.

    Args:
        config: what `logging.config.dictConfig` is given.
    """
    loggers = [logging.getLogger(name) for name in config["loggers"]]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    logging.config.dictConfig(dict(config))
    try:
        yield
    finally:
        for logger, handlers, level, propagates in before:
            logger.handlers[:] = handlers
            logger.propagate = propagates
            logger.setLevel(level)


def log_request(method: str, route: str, status: int | str, **more: object) -> None:
    """Tell of a request that has ended.

    Args:
        method: of the request, if it came so far.
        route: of the service, or ``other``.
        status: of the answer, or why there is none.
        more: what else is known: ``seconds``, ``client``, ``bytes`` of its body, ``images``.
    """
    if _REQUESTS.isEnabledFor(logging.INFO):
        fields = {"method": method, "route": route, "status": status, **more}
        _REQUESTS.info("%s %s %s", method, route, status, extra={_FIELDS: fields})
