"""What does a 12-megapixel JPEG cost on the road that training and prediction share, beside a full decode?

`logolens.io.views.cut` decodes a JPEG at the smallest of its native scales that still fills the network's square. The peer
is the same road without that: all pixels are decoded, then resized to the same square.
"""

from __future__ import annotations

import argparse
import io

import numpy as np
from common import busy, natural, table, take_turns, verdict

from logolens.config import Preprocessing
from logolens.io.images import fit, open_rgb
from logolens.io.views import WHOLE, cut


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--quality", type=int, default=85)
    parser.add_argument("--size", type=int, default=Preprocessing().size, help="side of the network's input")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    busy()
    preprocessing = Preprocessing(size=options.size)
    buffer = io.BytesIO()
    natural((options.width, options.height), np.random.default_rng(0)).save(buffer, "JPEG", quality=options.quality)
    data = buffer.getvalue()
    print(f"{options.width} x {options.height} JPEG, {len(data) / 1e6:.1f} MB, to {options.size} px\n")
    times = take_turns(
        {
            "logolens (views.cut)": lambda: cut(data, (WHOLE,), preprocessing),
            "full decode, then resize": lambda: fit(open_rgb(data), preprocessing),
        },
        options.rounds,
    )
    table(
        ("", "ms", "CPU ms"),
        [(name, f"{1e3 * t.seconds:.1f}", f"{1e3 * t.cpu_seconds:.1f}") for name, t in times.items()],
    )
    ours, full = times.values()
    difference = np.abs(cut(data, (WHOLE,), preprocessing)[0].astype(int) - fit(open_rgb(data), preprocessing)).mean()
    print(f"\nThe squares differ by {difference:.2f} of 255 levels on average.")
    verdict("logolens to the full decode", ours.seconds / full.seconds, 0.25, least=False)
    print(f"  in processor time: {ours.cpu_seconds / full.cpu_seconds:.2f}")


if __name__ == "__main__":
    main()
