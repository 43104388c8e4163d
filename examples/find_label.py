"""Go through a folder and write a CSV of the photos that show one label.

python examples/find_label.py BUNDLE FOLDER LABEL OUT.csv [LEAST]
"""

from __future__ import annotations

import csv
import sys

from logolens import Classifier
from logolens.io.sources import expand


def find(bundle: str, folder: str, label: str, out: str, least: float = 0.5) -> int:
    """Write the photos whose answer is ``label`` with a confidence of ``least`` or more, surest first; return how many."""
    classifier = Classifier.load(bundle)
    if label not in classifier.labels:
        raise SystemExit(f"{bundle} does not know {label}; it knows: {', '.join(classifier.labels)}.")
    found = []
    for answer in classifier.predict_each((source.name, source.read) for source in expand([folder])):
        if answer.error:
            print(f"{answer.image}: {answer.error}", file=sys.stderr)
        elif answer.label == label and (answer.confidence or 0.0) >= least:
            found.append((answer.image, answer.confidence))
    found.sort(key=lambda row: -(row[1] or 0.0))
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "confidence"])
        writer.writerows((image, f"{confidence:.4f}") for image, confidence in found)
    return len(found)


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    count = find(*sys.argv[1:5], *(float(given) for given in sys.argv[5:]))
    print(f"{count} photos are in {sys.argv[4]}.")
