"""The posts' recipe in Keras, timed; run by train_speed.py with the Python of an environment that holds TensorFlow.

It reads squares.npz (photos, uint8 [n, side, side, 3]; train and val, positions of the photo of each row; labels of the
same rows) and prints one JSON object: the seconds of a warm epoch, and of loading and building. Random weights are used:
they take the same time as trained ones.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main(file: str, epochs: int) -> None:
    start = time.perf_counter()
    import numpy as np
    import tensorflow as tf

    data = np.load(file)
    # As the posts do, every annotation row becomes an image of its own in memory, divided by 255.
    photos = data["photos"].astype("float32") / 255.0
    x, y = photos[data["train"]], data["train_labels"]
    held = (photos[data["val"]], data["val_labels"])
    base = tf.keras.applications.MobileNetV2(input_shape=x.shape[1:], include_top=False, weights=None)
    base.trainable = False
    model = tf.keras.Sequential(
        [
            base,
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(128, activation="relu"),
            tf.keras.layers.Dropout(0.5),
            tf.keras.layers.Dense(int(y.max()) + 1, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    ready = time.perf_counter()
    seconds = []
    for _ in range(epochs + 1):
        begun = time.perf_counter()
        model.fit(x, y, validation_data=held, batch_size=32, epochs=1, verbose=0)
        seconds.append(time.perf_counter() - begun)
    print(json.dumps({"setup": ready - start, "warm_up": seconds[0], "epochs": seconds[1:], "version": tf.__version__}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
