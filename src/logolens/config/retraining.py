"""The flags of the classic retraining scripts."""

from __future__ import annotations

from dataclasses import dataclass

from logolens.config.base import check, same, setting
from logolens.config.training import SplitSettings, TrainSettings
from logolens.errors import UsageError

__all__ = ["RetrainSettings"]


@dataclass(frozen=True)
class RetrainSettings:
    """All that ``logolens retrain`` can be told: the flags of the classic retraining scripts, under their own names.

    A path that is an empty text is not given.
    """

    image_dir: str = setting("", "folder of photos with one subfolder for each label")
    output_graph: str = setting(
        "retrained/output_graph.onnx", "where to save the trained graph; it is ONNX whatever its suffix"
    )
    intermediate_output_graphs_dir: str = setting("retrained/intermediate", "where to save the intermediate graphs")
    intermediate_store_frequency: int = setting(
        0, "save an intermediate graph every so many steps; 0 saves none", low=0
    )
    output_labels: str = setting("retrained/output_labels.txt", "where to save the labels, one a line")
    summaries_dir: str = setting("retrained/logs", "where to save what TensorBoard shows; nothing there is deleted")
    how_many_training_steps: int = setting(4000, "how many training steps to run", low=1)
    learning_rate: float = setting(0.01, "step size of the gradient descent", low=1e-9)
    testing_percentage: int = setting(10, "percentage of the photos kept for the final test", low=0, high=90)
    validation_percentage: int = setting(10, "percentage of the photos kept for validation", low=0, high=90)
    eval_step_interval: int = setting(10, "measure accuracy every so many steps", low=1)
    train_batch_size: int = setting(100, "photos a training step; -1 for all of them", low=-1)
    test_batch_size: int = setting(-1, "photos in the final test; -1 for all of them", low=-1)
    validation_batch_size: int = setting(100, "photos each time accuracy is measured; -1 for all of them", low=-1)
    print_misclassified_test_images: bool = setting(False, "list the test photos that are answered wrongly")
    model_dir: str = setting(
        "", "folder of the network's weights: looked for there, and kept there once fetched; the cache if not given"
    )
    bottleneck_dir: str = setting("", "folder to cache features in; the cache if not given")
    final_tensor_name: str = setting("final_result", "name of the graph's output")
    flip_left_right: bool = setting(False, "flip half of the training photos")
    random_crop: int = setting(
        0, "margin to crop off the training photos at random, as a percentage of what is left", low=0, high=400
    )
    random_scale: int = setting(
        0, "how much to scale up the training photos at random, as a percentage", low=0, high=400
    )
    random_brightness: int = setting(
        0, "how much to brighten or darken the training photos at random, as a percentage", low=0, high=100
    )
    architecture: str = setting(
        "",
        "network: inception_v3, mobilenet_<width>_<size> such as mobilenet_0.50_224, mobilenet_v2_<size>, or any that "
        "`logolens backbones` lists; inception_v3 if not given",
    )
    tfhub_module: str = setting("", "network, by the address of its TensorFlow Hub module")
    saved_model_dir: str = setting("", "write a bundle there too, for `logolens predict` and `logolens evaluate`")
    checkpoint_path: str = setting("", "save the trained layer as <checkpoint_path>.safetensors")
    logging_verbosity: str = setting("INFO", "how much to tell", choices=("DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
    seed: int = same(SplitSettings, "seed")
    threads: int | None = same(TrainSettings, "threads")

    def __post_init__(self) -> None:
        check(self, "_")
        for name in ("train_batch_size", "test_batch_size", "validation_batch_size"):
            if getattr(self, name) == 0:
                raise UsageError(f"{name} is 0; give a number of photos, or -1 for all of them.")
        if self.testing_percentage + self.validation_percentage >= 100:
            raise UsageError(
                f"testing_percentage {self.testing_percentage} and validation_percentage {self.validation_percentage} "
                "leave nothing to train on; together they must stay below 100."
            )
        self.split_settings()

    def split_settings(self) -> SplitSettings:
        """The part of these settings that decides the split."""
        return SplitSettings(val=self.validation_percentage / 100, test=self.testing_percentage / 100, seed=self.seed)
