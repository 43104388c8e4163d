"""How PyTorch, torchvision and timm are imported: at use, and also where torchvision's compiled half fails."""

from __future__ import annotations

import re
import sys
import threading
import warnings
from typing import Any

from logolens.errors import require

__all__ = ["import_timm", "import_torch", "import_torchvision"]

_EXTRA = "train"
_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[Any] = []  # a torch.library.Library takes its operators away when it is collected
_lock = threading.RLock()


def import_torch() -> Any:
    """The module ``torch``.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    return require("torch", _EXTRA)


def import_torchvision() -> Any:
    """The module ``torchvision``, also where its compiled operators do not fit the installed PyTorch.

    PyPI's torchvision is compiled for PyPI's own PyTorch. Beside a CPU build its library does not load, and the import
    ends in "operator torchvision::nms does not exist", although the networks never call it. When, and only when, the
    plain import fails like that, the missing operators are declared (without an implementation) and it is tried again.

    Raises:
        MissingExtraError: torchvision or PyTorch is not installed.
    """
    with _lock:
        if "torchvision" in sys.modules:
            return sys.modules["torchvision"]
        torch = import_torch()
        with warnings.catch_warnings():
            # It warns that its image codecs do not load; images are decoded by Pillow here.
            warnings.simplefilter("ignore")
            try:
                return require("torchvision", _EXTRA)
            except RuntimeError as error:
                if not re.search(r"operator torchvision::\w+ does not exist", str(error)):
                    raise
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
            library = torch.library.Library("torchvision", "FRAGMENT")
            _declared.append(library)
            for name, schema in _SCHEMAS.items():
                if not hasattr(torch.ops.torchvision, name):
                    library.define(schema)
            return require("torchvision", _EXTRA)


def import_timm() -> Any:
    """The module ``timm``; it imports torchvision, so that goes first.

    Raises:
        MissingExtraError: timm, torchvision or PyTorch is not installed.
    """
    import_torchvision()
    return require("timm", _EXTRA)
