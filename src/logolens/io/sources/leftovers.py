"""Folders and files that systems and tools leave beside photos. What people name themselves is never among them.

A dot at the beginning of a name does not tell: ``.NET`` is a brand. These names do.
"""

from __future__ import annotations

import fnmatch
import re

__all__ = ["is_leftover"]

_NAMES = frozenset(
    {
        # Operating systems and desktops
        *(".ds_store", "__macosx", ".appledouble", ".appledb", ".appledesktop", ".spotlight-v100", ".fseventsd"),
        *(".temporaryitems", ".documentrevisions-v100", ".trashes", ".volumeicon.icns", ".lsoverride", "icon\r"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *(
            "lost+found",
            ".directory",
            ".thumbnails",
            ".thumb",
            ".thumbs",
            ".cache",
            ".local",
            ".config",
            ".trash",
            ".xdg",
        ),
        # Network storage, synchronisation and backups
        *(
            "@eadir",
            "@tmp",
            "@recycle",
            "#recycle",
            "#snapshot",
            ".snapshot",
            ".snapshots",
            ".zfs",
            ".@__thumb",
            ".@__qini",
        ),
        *(".stfolder", ".stversions", ".sync", ".dropbox", ".dropbox.cache", ".owncloudsync.log", ".picasaoriginals"),
        *(".picasa.ini", ".comments", ".nomedia"),
        # Version control, editors, notebooks, Python and the like
        *(".git", ".github", ".gitignore", ".gitattributes", ".gitkeep", ".gitmodules", ".svn", ".hg", ".bzr", "cvs"),
        *(
            ".dvc",
            ".dvcignore",
            ".idea",
            ".vscode",
            ".vs",
            ".ipynb_checkpoints",
            "__pycache__",
            ".venv",
            ".tox",
            ".nox",
        ),
        *(
            ".mypy_cache",
            ".ruff_cache",
            ".pytest_cache",
            ".eggs",
            ".env",
            ".jekyll-cache",
            ".sass-cache",
            "node_modules",
        ),
        *(".huggingface", ".kaggle", ".dockerignore", ".keep", ".placeholder", ".hidden", ".done", ".complete"),
    }
)
"""Lower case."""

_PATTERNS = (
    "._*",
    ".trash-*",
    ".~*",
    ".nfs*",
    ".fuse_hidden*",
    ".goutputstream-*",
    ".sync_*",
    ".*.swp",
    ".logolens*",
    "~$*",
)
"""macOS's second halves of files, deleted and temporary files, and what logolens itself is writing."""

_LIKE = re.compile("|".join(map(fnmatch.translate, _PATTERNS)))


def is_leftover(name: str) -> bool:
    """Whether a file or folder of this name is a system's or a tool's own.

    Args:
        name: the last part of a path.
    """
    lower = name.lower()
    return lower in _NAMES or _LIKE.match(lower) is not None
