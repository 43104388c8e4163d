"""The bundles that are served: loaded, warmed, watched, and replaced while requests go on."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logolens.bundle.format import load_bundle, thresholds
from logolens.bundle.validation import MANIFEST, read_file
from logolens.config import VIEWS, ServeSettings
from logolens.errors import BundleError, LogolensError
from logolens.inference.classifier import Classifier
from logolens.io.views import Decode
from logolens.serve.warm import sample

if TYPE_CHECKING:
    from logolens.serve.metrics import Metrics

__all__ = ["Served", "Shelf", "about", "check_bundle"]

_LOG = logging.getLogger(__name__)

_FIGURES = ("n", "top1", "top1_ci95", "top5", "macro_f1", "ece", "missed", "none", "per_class")
"""What is told of the figures; the photos that were mistaken are the trainer's own."""

_LONGEST_PAUSE = 30.0
"""Most seconds between two attempts to load a bundle that is broken."""


def check_bundle(path: Path, views: str) -> None:
    """Say at once what is wrong with a bundle, before the service is started with it.

    Raises:
        BundleError: it cannot be read, or not be asked with these views.
    """
    bundle = load_bundle(path)
    if views not in ("bundle", "whole") and bundle.closer is None:
        raise BundleError(
            f"{path} was trained to look at whole photos only, so views cannot be {views}; train it again with --views auto."
        )


class Served:
    """A bundle as it was loaded once; it is never changed, only replaced.

    Attributes:
        name: what requests call it.
        sha256: of its manifest, which names the hashes of all its files.
        manifest: what it says.
        labels: without the background.
        looks_closer: whether it can look closer, tell where and show a heat-map.
        views: where it looks when a request does not say.
    """

    def __init__(self, name: str, sha256: str, classifier: Classifier, views: str) -> None:
        bundle = classifier.bundle
        self.name, self.sha256, self.manifest, self.labels = name, sha256, bundle.manifest, classifier.labels
        self.background = len(bundle.classes) > len(bundle.labels)
        self.looks_closer = bundle.closer is not None
        self.views = views
        # Each is light: all share the network and what else was read.
        self._turned = {
            (view, where, every): classifier.turned(views=view, where=where, every=every)
            for view in (VIEWS if self.looks_closer else ("whole",))
            for where, every in (
                ((False, False), (True, False), (True, True)) if self.looks_closer else ((False, False),)
            )
        }

    def classifier(self, views: str | None, *, where: bool = False, every: bool = False) -> Classifier:
        """Who answers when this is asked for.

        Raises:
            BundleError: the bundle cannot be asked so; the sentence names it as requests do.
        """
        found = self._turned.get((views or self.views, where or every, every))
        if found is None:
            what = f"views={views}" if views not in (None, "whole") else "where, all and heat"
            raise BundleError(f"{self.name} looks at whole images only, so {what} cannot be asked of it; leave it out.")
        return found


class _Place:
    """A bundle's folder, and what was last loaded from it."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.served: Served | None = None
        self.problem: str | None = None
        self.stamp: tuple[int, ...] | None = None
        self.pause = 0.0
        self.again = 0.0
        self.is_asked = False


class Shelf:
    """The bundles by name, each replaced as a whole when its folder changes.

    Requests that hold a bundle keep it until they are answered. A new one that is broken leaves the old one in its place.

    Args:
        bundles: the folders by name, the default first.
        settings: say how images are read and how often folders are looked at.
        decode: turns bytes into pixels.
        metrics: is told.
    """

    def __init__(self, bundles: Mapping[str, Path], settings: ServeSettings, decode: Decode, metrics: Metrics) -> None:
        self._places = {name: _Place(name, Path(path)) for name, path in bundles.items()}
        self._settings, self._decode, self._metrics = settings, decode, metrics
        self._ended = threading.Event()
        self._woken = threading.Event()
        self._is_asked = False
        self._thread: threading.Thread | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the bundles are called, the default first."""
        return tuple(self._places)

    @property
    def is_ready(self) -> bool:
        """Whether all have been loaded once."""
        return all(place.served is not None for place in self._places.values())

    def get(self, name: str | None) -> Served | None:
        """The bundle of this name, or the first; None while it is not loaded.

        Raises:
            KeyError: there is none of this name.
        """
        return self._places[name if name is not None else self.names[0]].served

    def each(self) -> Iterator[tuple[str, Served | None, str | None]]:
        """Name, bundle and what is wrong, of each."""
        for place in self._places.values():
            yield place.name, place.served, place.problem

    def start(self, warmed: Callable[[], object] = lambda: None) -> None:
        """Load all on a thread, which then goes on to look whether they change.

        Args:
            warmed: called on that thread when all are loaded for the first time.
        """
        self._thread = threading.Thread(target=self._watch, args=(warmed,), name="logolens-bundles", daemon=True)
        self._thread.start()

    def reload(self) -> None:
        """Have all bundles loaded anew, whether they have changed or not."""
        self._is_asked = True
        self._woken.set()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _watch(self, warmed: Callable[[], object]) -> None:
        is_announced = False
        while not self._ended.is_set():
            self._woken.clear()
            if self._is_asked:
                self._is_asked = False
                for place in self._places.values():
                    place.stamp, place.again, place.is_asked = None, 0.0, True
            for place in self._places.values():
                self._attend(place)
            if self.is_ready and not is_announced:
                try:
                    warmed()
                    is_announced = True
                except Exception:
                    _LOG.exception("The service cannot get ready; it is tried again in a moment.")
            is_waiting = is_announced and not self._settings.reload_seconds
            self._woken.wait(None if is_waiting else self._settings.reload_seconds or 1.0)

    def _attend(self, place: _Place) -> None:
        stamp = _stamp(place.path)
        if place.problem is None:
            if place.served is not None and stamp == place.stamp:
                return
        # A folder that is being copied is broken for a while, and may be whole without its manifest changing again.
        elif time.monotonic() < place.again:
            return
        try:
            # What changed may be the dates alone.
            if place.is_asked or place.served is None or _sha256(place.path) != place.served.sha256:
                place.is_asked = False
                place.served = self._load(place)
                self._metrics.reloads.labels(place.name, "loaded").inc()
                _LOG.info("Bundle %s is served from %s (%s).", place.name, place.path, place.served.sha256[:12])
            elif place.problem is not None:
                _LOG.info("Bundle %s is what it was again.", place.name)
            place.stamp, place.problem, place.pause = stamp, None, 0.0
        except Exception as error:
            if not isinstance(error, LogolensError):
                _LOG.exception("Bundle %s could not be loaded.", place.name)
            reason = str(error) if isinstance(error, LogolensError) else "It could not be loaded; the log says why."
            stands = "; the one before it is served on" if place.served is not None else ""
            if reason != place.problem:
                _LOG.warning("Bundle %s cannot be served%s: %s", place.name, stands, reason)
                self._metrics.reloads.labels(place.name, "failed").inc()
            # Who asks over the network is not told where on this machine the folder lies.
            place.problem = reason.replace(str(place.path), place.name)
            place.pause = min(_LONGEST_PAUSE, max(self._settings.reload_seconds, 0.5, place.pause * 2))
            place.again = time.monotonic() + place.pause

    def _load(self, place: _Place) -> Served:
        sha256 = _sha256(place.path)
        bundle = load_bundle(place.path)
        classifier = Classifier(
            bundle,
            threads=1,
            limits=self._settings.limits(),
            where=bundle.closer is not None,
            decode=self._decode,
            device=self._settings.device,
        )
        views = self._settings.views
        if views not in ("bundle", "whole") and bundle.closer is None:
            raise BundleError(
                f"{place.path} was trained to look at whole photos only, so views cannot be {views}; train it again with "
                "--views auto."
            )
        served = Served(place.name, sha256, classifier, classifier.views if views == "bundle" else views)
        _warm(served)
        if _sha256(place.path) != sha256:
            raise BundleError(f"{place.path} changed while it was being loaded; it is tried again in a moment.")
        return served


def _warm(served: Served) -> None:
    """Answer once, so that the first request does not pay for what is set up then."""
    photo = sample()
    for classifier in {served.classifier(None), served.classifier(None, where=served.looks_closer)}:
        outcome = classifier.together([classifier.job(classifier.open(photo))])[0]
        if outcome.error is not None:
            raise BundleError(f"{classifier.bundle.path} cannot answer ({outcome.error}); train it again.")


def _sha256(folder: Path) -> str:
    return hashlib.sha256(read_file(folder / MANIFEST)).hexdigest()


def _stamp(folder: Path) -> tuple[int, ...] | None:
    try:
        found = (folder / "manifest.json").stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def about(served: Served) -> dict[str, Any]:
    """What a bundle says of itself, without where it came from on the machine that trained it."""
    manifest = served.manifest
    data = manifest.get("data", {})
    return {
        "name": served.name,
        "sha256": served.sha256,
        "created": manifest.get("created"),
        "logolens": manifest.get("logolens"),
        "labels": list(served.labels),
        "background": served.background,
        "views": list(VIEWS) if served.looks_closer else ["whole"],
        "default_views": served.views,
        "where": served.looks_closer,
        "heat": served.looks_closer,
        "threshold": manifest.get("calibration", {}).get("threshold"),
        "thresholds": thresholds(manifest),
        "preprocessing": manifest.get("preprocessing", {}),
        "backbone": {
            key: value
            for key, value in manifest.get("backbone", {}).items()
            if key in ("name", "family", "license", "weights_sha256", "features", "size", "parameters")
        },
        "data": {key: data[key] for key in ("name", "data_hash", "photos", "train", "val", "test") if key in data},
        "metrics": {
            part: figures and {key: value for key, value in figures.items() if key in _FIGURES}
            for part, figures in manifest.get("metrics", {}).items()
        },
        "files": manifest.get("files", {}),
    }
