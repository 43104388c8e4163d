"""A gallery: a bundle whose labels are added, renamed and removed within seconds, from reference images and without training.

ledger     what each reference is: source, hash, box
opening    a gallery as it lies on the disk
artwork    a drawing as the views that a photo of it might give
looking    images to views to rows of the gallery
beginning  a gallery of nothing: the projection and the backgrounds
changing   references in, out or under another name
writing    the changed gallery, whole or not at all
run        the four commands
"""

from __future__ import annotations

from logolens.training.gallery.commands import Added, Changed, add, remove, rename
from logolens.training.gallery.edit import Like
from logolens.training.gallery.ledger import LEDGER, Reference, of_training, write_ledger
from logolens.training.gallery.load import Gallery, open_gallery
from logolens.training.gallery.save import facts_of, head_facts

__all__ = [
    "LEDGER",
    "Added",
    "Changed",
    "Gallery",
    "Like",
    "Reference",
    "add",
    "facts_of",
    "head_facts",
    "of_training",
    "open_gallery",
    "remove",
    "rename",
    "write_ledger",
]
