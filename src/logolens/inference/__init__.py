"""From an image to its answer."""
