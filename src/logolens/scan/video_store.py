"""Videos in a store: what was said of each frame, from which any further scan tells what is sought, and when it is seen."""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import VideoSettings
from logolens.inference.appearances import FLICKER, Appearance, appearances
from logolens.inference.watching import Watched
from logolens.scan.verdicts import Judge

__all__ = ["asked_of", "from_bytes", "part_note", "put_video", "settle_video", "to_bytes", "video_json", "video_stands"]

_SHOWN = 3


def asked_of(settings: VideoSettings) -> str:
    """What stands for how a video is looked at: where it differs, the video is looked at again."""
    fields = asdict(settings)
    del fields["max_video_bytes"]
    return json.dumps(fields, sort_keys=True)


def to_bytes(watched: Watched) -> bytes:
    """All that is known of a video, its pictures too."""
    head: dict[str, Any] = {
        "classes": watched.classes,
        "end": watched.end,
        "size": watched.size,
        "fps": watched.fps,
        "at": watched.at.tolist(),
        "began": watched.began.tolist(),
        "labels": watched.labels.tolist(),
        "logos": watched.logos,
        "note": watched.note,
        "stills": {number: base64.b64encode(data).decode() for number, data in watched.stills.items()},
        "scores": base64.b64encode(watched.scores.astype("<f4").tobytes()).decode(),
    }
    return zlib.compress(json.dumps(head, separators=(",", ":")).encode())


def from_bytes(data: bytes) -> Watched:
    """What `to_bytes` wrote."""
    head = json.loads(zlib.decompress(data))
    classes = tuple(head["classes"])
    return Watched(
        classes,
        head["end"],
        (head["size"][0], head["size"][1]),
        head["fps"],
        np.array(head["at"], np.float64),
        np.array(head["began"], np.float64),
        np.frombuffer(base64.b64decode(head["scores"]), "<f4").reshape(-1, len(classes)),
        np.array(head["labels"], np.int64),
        tuple(tuple((one[0], one[1], tuple(one[2])) for one in logos) for logos in head["logos"]),
        {int(number): base64.b64decode(text) for number, text in head["stills"].items()},
        head["note"],
    )


def put_video(db: sqlite3.Connection, sha256: bytes, watched: Watched, asked: str) -> None:
    """Keep what was said of a video's frames; `settle_video` tells what that comes to."""
    db.execute(
        "INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?, ?, ?)",
        (sha256, asked, watched.end, len(watched.at), watched.note or None, to_bytes(watched)),
    )


def video_stands(db: sqlite3.Connection, sha256: bytes, asked: str) -> bool | None:
    """Whether a video was looked at in this very way; None of what is no video."""
    row = db.execute("SELECT asked FROM videos WHERE sha256 = ?", (sha256,)).fetchone()
    return None if row is None else row[0] == asked


def settle_video(db: sqlite3.Connection, sha256: bytes, judge: Judge, thumbnails: str) -> None:
    """Tell of a video what is sought now: its surest frame stands for it, and its appearances are written down.

    Args:
        db: the store, in which nothing happens for what is no video.
        sha256: the content.
        judge: knows what is sought.
        thumbnails: of which verdicts pictures are kept, as of `ScanSettings`.
    """
    row = db.execute("SELECT frames FROM videos WHERE sha256 = ?", (sha256,)).fetchone()
    if row is None:
        return
    watched = from_bytes(row[0])
    judged = [judge(scores) for scores in watched.scores]
    surest = int(np.argmax([confidence for _, confidence, _ in judged]))
    label, _, verdict = judged[surest]
    number = watched.classes.index(label)
    box = watched.boxes(number)[surest]
    db.execute(
        "UPDATE contents SET scores = ?, box = ?, width = ?, height = ? WHERE sha256 = ?",
        (
            watched.scores[surest].astype("<f4").tobytes(),
            None if box is None else json.dumps(box),
            *watched.size,
            sha256,
        ),
    )
    found = verdict in ("match", "unsure")
    still = watched.still(surest) if thumbnails == "all" or (found and thumbnails == "found") else None
    db.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, NULL)", (sha256, still))
    db.execute("DELETE FROM appearances WHERE sha256 = ?", (sha256,))
    rows = [
        (sha256, name, one.start, one.end, one.confidence, said, one.at, one.share, one.largest,
         None if one.box is None else json.dumps(one.box))
        for name, one, said in _sought(watched, judge, judged)
    ]  # fmt: skip
    db.executemany("INSERT INTO appearances VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _sought(watched: Watched, judge: Judge, judged: list[tuple[str, float, str]]) -> list[tuple[str, Appearance, str]]:
    """When each label that is sought is seen, and whether that is a match or unsure."""
    confidence: npt.NDArray[np.float64] = np.array([sure for _, sure, _ in judged])
    found: list[tuple[str, Appearance, str]] = []
    for number, name in enumerate(watched.classes):
        if name not in judge.sought:
            continue
        enters = np.array([label == name and verdict != "clear" for label, _, verdict in judged], bool)
        if not enters.any():
            continue
        parts = appearances(
            watched.began,
            watched.end,
            watched.at,
            confidence,
            enters,
            watched.scores[:, number] >= judge.least,
            watched.boxes(number),
            flicker=FLICKER / watched.fps,
        )
        found += [(name, one, judged[one.frame][2]) for one in parts]
    return found


def part_note(db: sqlite3.Connection, run: int) -> str | None:
    """A sentence that counts the videos of a run of which not all was looked at; None where there are none."""
    rows = db.execute(
        "SELECT name, note FROM images JOIN videos USING (sha256) WHERE images.run = ? AND error IS NULL AND note IS NOT NULL"
        " ORDER BY name",
        (run,),
    ).fetchall()
    if not rows:
        return None
    examples = " ".join(f"{name}: {note}" for name, note in rows[:_SHOWN])
    return f"Videos that were looked at in part: {len(rows):,}. {examples}{' ...' if len(rows) > _SHOWN else ''}"


def video_json(db: sqlite3.Connection, sha256: bytes) -> dict[str, Any] | None:
    """What a store says of a video, as ``logolens scan --json`` tells it; None of what is no video."""
    row = db.execute("SELECT seconds, looked, note FROM videos WHERE sha256 = ?", (sha256,)).fetchone()
    if row is None:
        return None
    columns = ("label", "start", "end", "confidence", "verdict", "at", "share", "largest", "box")
    parts = [
        dict(zip(columns, part, strict=True))
        for part in db.execute(
            "SELECT label, begins, ends, confidence, verdict, at, share, largest, box FROM appearances WHERE sha256 = ?"
            " ORDER BY begins, label",
            (sha256,),
        )
    ]
    for part in parts:
        part["box"] = None if part["box"] is None else json.loads(part["box"])
        for name in ("start", "end", "at", "share", "largest"):
            part[name] = None if part[name] is None else round(part[name], 4)
    totals: dict[str, float] = {}
    for part in parts:
        totals[part["label"]] = totals.get(part["label"], 0.0) + part["end"] - part["start"]
    shown = {label: round(total, 4) for label, total in totals.items()}
    return {"seconds": round(row[0], 4), "frames": row[1], "note": row[2], "shown": shown, "appearances": parts}
