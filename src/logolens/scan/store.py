"""The result store: one SQLite file in WAL mode, which a kill at any moment leaves whole.

    meta       what the file is: its format and an identity that stays
    runs       each scan: the bundle, what was sought, when it began and ended
    contents   what the bundle says of each content, by its SHA-256: looked at once, wherever it stands
    pictures   a small JPEG of what was found, and what near copies are found by
    images     each name: its content, what tells whether it has changed, its verdict now and in the last finished scan
    places     the pages on which an image stands
    alike      groups of near copies
    shards     the shards of the current scan whose results are in
    videos     what the bundle says of each frame of a video; appearances: when what is sought is seen in it
    words, scores, decided, and the views found, pages, seen and changes: see `views`

A run that was interrupted is taken up by the next one that is asked the same; what it had finished stands.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logolens.config import ScanSettings, VideoSettings
from logolens.errors import StoreError
from logolens.io.names import file_name, text_of
from logolens.io.sources import Stamp
from logolens.io.sources.urls import redacted
from logolens.scan.ending import end_run, near_candidates, unmet_images
from logolens.scan.queries import Listing
from logolens.scan.records import Answer, ContentResult, Known
from logolens.scan.sqlite import hold, now
from logolens.scan.store_reader import StoreReader
from logolens.scan.verdicts import Allowed, Decided, Judge
from logolens.scan.video_store import asked_of, part_note, put_video, settle_video, video_stands

__all__ = ["Store"]

_COMMIT_ROWS = 1_000
_COMMIT_SECONDS = 1.0

_UNMET = "what it stands in could not be looked into, and this bundle has no answer on it from before."


class Store(StoreReader):
    """A result store to write to: one run at a time; any number of programs may read it meanwhile.

    Args:
        path: the file; made when it is not there.

    Raises:
        StoreError: it is no result store, is damaged, of a later format, or in use by another run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._waiting = 0
        self._committed = time.monotonic()
        if not self.path.absolute().parent.is_dir():
            raise StoreError(f"{self.path} cannot be made: {self.path.absolute().parent} is not a folder.")
        self._guard = hold(self.path)
        try:
            self._connect(read_only=False)
        except BaseException:
            self._guard.close()
            raise

    def close(self) -> None:
        """Commit what was put, and close the file."""
        try:
            self.commit()
        finally:
            super().close()
            self._guard.close()

    def begin(
        self,
        *,
        bundle: str,
        bundle_name: str,
        judge: Judge,
        allowed: Allowed,
        sources: Sequence[str],
        settings: ScanSettings,
        decided: Decided | None = None,
        videos: VideoSettings = VideoSettings(),
    ) -> bool:
        """Begin a run, or take up the one that was interrupted if it was asked the same.

        Args:
            bundle: the bundle's hash.
            bundle_name: what people call it.
            judge: gives the verdicts.
            allowed: the images known to be fine.
            sources: what was asked for, as it was named, without credentials.
            settings: the scan's settings.
            decided: what a person decided about pictures.
            videos: how videos are looked at.

        Returns:
            Whether an interrupted run is taken up.
        """
        self._bundle, self._judge, self._allowed, self._settings = bundle, judge, allowed, settings
        self._asked = asked_of(videos)
        self._decided = decided or Decided({}, judge)
        rulings = [(bytes.fromhex(sha256), its.kind, its.label) for sha256, its in self._decided.decisions.items()]
        question = json.dumps(
            [bundle, list(sources), settings.find, settings.threshold, settings.least,
             [redacted(each) for each in settings.allow], settings.near, settings.thumbnails, str(Path.cwd()),
             *([sorted(f"{name.hex()} {label}" for name, _, label in rulings)] if rulings else []),
             *([self._asked] if self._asked != asked_of(VideoSettings()) else [])]
        )  # fmt: skip
        with self._lock, self._translated(), self._db:
            last = self._db.execute("SELECT run, question, finished FROM runs ORDER BY run DESC LIMIT 1").fetchone()
            resumed = last is not None and last[2] is None and last[1] == question
            self.run = last[0] if resumed else (last[0] if last else 0) + 1
            if not resumed:
                self._db.execute(
                    "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                    (self.run, question, bundle, text_of(bundle_name), json.dumps(judge.classes), json.dumps(settings.find),
                     settings.threshold, settings.least, json.dumps(list(map(text_of, sources))), text_of(Path.cwd()),
                     now()),
                )  # fmt: skip
            self._db.execute("DELETE FROM shards WHERE run != ?", (self.run,))
            self._db.execute("DELETE FROM decided")
            self._db.executemany("INSERT INTO decided VALUES (?, ?, ?)", rulings)
            base = self._db.execute("SELECT max(run) FROM runs WHERE finished IS NOT NULL").fetchone()[0]
        self._base = int(base or 0)
        self._listing = None
        return resumed

    def known(self, name: str) -> Known | None:
        """What an earlier look at this name left behind. Any thread may ask."""
        with self._lock, self._translated():
            row = self._db.execute(
                "SELECT size, modified, etag, last_modified, sha256, run FROM images WHERE name = ?", (text_of(name),)
            ).fetchone()
            if row is None:
                return None
            return Known(Stamp(*row[:4]), row[4].hex() if row[4] else None, row[5] == self.run, self._stands(row[4]))

    def has(self, sha256: str) -> bool:
        """Whether this bundle's answer on a content is there, and complete."""
        with self._lock, self._translated():
            return self._stands(bytes.fromhex(sha256))

    def _stands(self, sha256: bytes | None) -> bool:
        if sha256 is None:
            return False
        row = self._db.execute("SELECT bundle, scores, error, run FROM contents WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None or row[0] != self._bundle:
            return False
        if row[2] is not None:
            return bool(row[3] == self.run)  # A new scan tries again.
        if (stands := video_stands(self._db, sha256, self._asked)) is not None:
            return stands
        thumbnail, near = self._settings.wanted(self._judge(np.frombuffer(row[1], "<f4"))[2])
        if not (thumbnail or near):
            return True
        kept = self._db.execute(
            "SELECT thumbnail IS NOT NULL, near IS NOT NULL FROM pictures WHERE sha256 = ?", (sha256,)
        ).fetchone()
        return kept is not None and kept[0] >= thumbnail and kept[1] >= near

    def put(self, answer: Answer) -> str:
        """Keep what was learned of one name; it is on disk after `commit`.

        Returns:
            The verdict; an empty text where there is none, for nothing but further places was learned.
        """
        # Whatever interrupts this, the image itself comes last: without it, all of this is done again.
        with self._lock, self._translated():
            sha256 = bytes.fromhex(answer.sha256) if answer.sha256 else None
            if answer.result is not None and sha256 is not None:
                self._put_result(sha256, answer.result)
            label, confidence, verdict = None, None, "error"
            name, error = text_of(answer.name), None if answer.error is None else text_of(answer.error)
            if sha256 is not None and error is None:
                settle_video(self._db, sha256, self._judge, self._settings.thumbnails)
                row = self._db.execute("SELECT scores, error FROM contents WHERE sha256 = ?", (sha256,)).fetchone()
                error = row[1]
                if error is None:
                    scores = np.frombuffer(row[0], "<f4")
                    label, confidence, verdict = self._judge(scores)
                    label, verdict = self._decided(answer.sha256) or (label, verdict)
                    if verdict != "clear" and self._allowed(answer.name, answer.sha256):
                        label, verdict = self._judge.answer(scores), "clear"
                    if verdict != "clear":
                        self._put_scores(sha256, scores)
            self._put_places(name, map(text_of, answer.places))
            if sha256 is None and error is None:
                self._wrote()
                return ""
            stamp = answer.stamp
            if verdict == "error":
                known = "SELECT name, verdict FROM images WHERE name = ? AND verdict IN ('match', 'unsure')"
                self._db.execute(f"INSERT OR REPLACE INTO lost {known}", (name,))
            self._db.execute(
                """INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)
                ON CONFLICT (name) DO UPDATE SET
                before_run = CASE WHEN run = ?11 THEN before_run WHEN run = ?12 THEN run WHEN run > ?12 THEN before_run END,
                before_sha256 = CASE WHEN run = ?12 AND run != ?11 THEN sha256 ELSE before_sha256 END,
                before_verdict = CASE WHEN run = ?12 AND run != ?11 THEN verdict ELSE before_verdict END,
                sha256 = ?2, size = ?3, modified = ?4, etag = ?5, last_modified = ?6, label = ?7, confidence = ?8,
                verdict = ?9, error = ?10, run = ?11""",
                (name, sha256, stamp.size, stamp.modified, stamp.etag, stamp.last_modified, label, confidence,
                 verdict, error, self.run, self._base),
            )  # fmt: skip
            self._wrote()
        return verdict

    def _put_result(self, sha256: bytes, result: ContentResult) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (sha256, self.run, self._bundle, result.scores.astype("<f4").tobytes(),
             None if result.box is None else json.dumps(result.box), result.width, result.height,
             None if result.error is None else text_of(result.error)),
        )  # fmt: skip
        for table in ("words", "videos", "appearances"):
            self._db.execute(f"DELETE FROM {table} WHERE sha256 = ?", (sha256,))
        if result.video is not None:
            put_video(self._db, sha256, result.video, self._asked)
        if result.word is not None:
            word = json.dumps(result.word, ensure_ascii=True)
            self._db.execute("INSERT OR REPLACE INTO words VALUES (?, ?)", (sha256, word))
        if result.thumbnail is not None or result.near is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", (sha256, result.thumbnail, result.near)
            )

    def _put_scores(self, sha256: bytes, scores: npt.NDArray[np.float32]) -> None:
        order = np.argsort(-scores, kind="stable")
        scores_json = json.dumps({self._judge.classes[at]: round(float(scores[at]), 4) for at in order})
        self._db.execute("INSERT OR REPLACE INTO scores VALUES (?, ?)", (sha256, scores_json))

    def _put_places(self, name: str, places: Iterable[str]) -> None:
        self._db.executemany(
            "INSERT INTO places VALUES (?, ?, ?) ON CONFLICT (name, place) DO UPDATE SET run = excluded.run",
            [(name, place, self.run) for place in places],
        )

    def _wrote(self) -> None:
        self._listing = None
        self._waiting += 1
        if self._waiting >= _COMMIT_ROWS or time.monotonic() - self._committed > _COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Bring all that was put to the disk."""
        with self._lock, self._translated():
            self._db.commit()
            self._waiting, self._committed = 0, time.monotonic()

    def shards(self) -> set[int]:
        """The numbers of the shards whose results were stored in this run."""
        with self._lock, self._translated():
            return {row[0] for row in self._db.execute("SELECT shard FROM shards WHERE run = ?", (self.run,))}

    def put_shard(self, shard: int, answers: Iterable[Answer], each: Callable[[str], None]) -> None:
        """Keep a shard's results, all of them or none."""
        self.commit()
        with self._lock, self._translated():
            try:
                self._db.execute("INSERT OR REPLACE INTO shards VALUES (?, ?)", (self.run, shard))
                self._committed = float("inf")  # One transaction, however long it takes.
                self._waiting = -(1 << 60)
                for answer in answers:
                    each(self.put(answer))
            except BaseException:
                self._db.rollback()
                self._waiting, self._committed = 0, time.monotonic()
                raise
            self.commit()

    def near(self) -> tuple[list[bytes], list[bytes]]:
        """The contents of this run among which near copies are sought, and what these are found by."""
        with self._lock, self._translated():
            return near_candidates(self._db, self.run, self._settings.near)

    def keep(self, held: Callable[[str, Sequence[str]], tuple[bool, Sequence[str]]]) -> int:
        """Keep images of the last finished scan that this one has not met as they were, and pages of images that it has.

        Where another bundle answered for such an image, nothing is known of it: it is listed with an error.

        Args:
            held: given an image's name and the pages on which it stood, says whether it may stand there still, and on which.

        Returns:
            How many images were kept.
        """
        count = 0
        with self._lock, self._translated():
            self.commit()
            for image in unmet_images(self._db, self.run, self._base):
                name = file_name(image.name)
                holds, left = held(name, image.places)
                if image.run == self.run:
                    self._put_places(image.name, left)
                elif holds and image.sha256 is not None and self._stands(image.sha256):
                    self.put(Answer(name, tuple(left), image.stamp, image.sha256.hex()))
                    count += 1
                elif holds:
                    self.put(Answer(name, tuple(left), error=_UNMET))
            self.commit()
        return count

    def part_note(self) -> str | None:
        """A sentence that counts the videos of this run of which not all was looked at; None where there are none."""
        with self._lock, self._translated():
            return part_note(self._db, self.run)

    def finish(self, alike: Iterable[tuple[bytes, bytes]]) -> None:
        """End the run: all was looked at. What was not met is gone.

        Args:
            alike: for each content that has near copies, the first one of its group.
        """
        with self._lock, self._translated():
            self.commit()
            end_run(self._db, self.run, self._base, alike)
            self._listing = None

    def _list(self) -> Listing:
        if self._listing is None and self.run:
            self.commit()  # What was put is told of.
        return super()._list()
