"""Who may import whom, and what is loaded when. The order is the way of the data."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "src" / "logolens"

# A module or package may import only from those that stand before it, and none from its own row.
ORDER = (
    {"_version", "errors", "types"},
    {"config"},
    {"io", "metrics"},
    {"data"},
    {"models"},
    {"bundle"},
    {"training", "inference", "export"},  # The bundle is the handover: these never meet.
    {"evaluation", "scan"},
    {"serve", "recipes", "sklearn"},
    {"cli", "__init__"},
    {"__main__", "retrain", "classify"},
)

# What the core install does without; none of these may be imported when a module is.
HEAVY = {
    *("torch", "torchvision", "timm", "onnx", "onnxscript", "sklearn", "matplotlib", "safetensors", "scipy", "cv2"),
    *("cleanlab", "pandas", "huggingface_hub", "av"),
    *("pyarrow", "ray"),
    *("fastapi", "starlette", "pydantic", "uvicorn", "httptools", "python_multipart", "prometheus_client"),
    *("resvg_py", "simpleicons", "simple_icons_pack", "fsspec", "httpcore2", "lxml", "protego", "pypdfium2"),
}

SPARED = {
    "io": {"httpcore2", "lxml", "protego"},
    "sklearn": {"sklearn"},  # The estimator, which is imported by nothing else.
    "serve": {"fastapi", "starlette", "pydantic", "uvicorn", "httptools", "python_multipart", "prometheus_client"},
}

# What answering takes, and no more.
PREDICTING = {"_version", "errors", "types", "config", "io", "metrics", "data", "models", "bundle", "inference"}

# Within these rooms, what only training and the checks of a data set take.
NOT_PREDICTING = (
    *("logolens.data.synthesis", "logolens.data.checks", "logolens.data.composed", "logolens.data.builtin_backgrounds"),
    *("logolens.bundle.manifest", "logolens.bundle.model_card", "logolens.bundle.plots", "logolens.bundle.markdown"),
    "logolens.bundle.push",
)

MODULES = sorted(ROOT.rglob("*.py"))


def unit_of(path: Path) -> str:
    return "__main__" if path.name == "__main__.py" else path.relative_to(ROOT).parts[0].removesuffix(".py")


ROOMS = {room: [path for path in MODULES if unit_of(path) == room] for room in sorted({*map(unit_of, MODULES)})}


def name_of(path: Path) -> str:
    return ".".join(["logolens", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


@functools.cache
def nodes(tree: ast.AST, *, at_import: bool = False) -> tuple[ast.AST, ...]:
    """The nodes that can run; with ``at_import`` only those that run when the module is imported."""
    found, left = [], [tree]
    while left:
        for child in ast.iter_child_nodes(left.pop()):
            if is_for_types(child):
                continue
            if at_import and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            found.append(child)
            left.append(child)
    return tuple(found)


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    """What a module calls, each with its name: ``os.system``, or ``.close`` where it is called on a value."""
    for node in nodes(parse(path)):
        if isinstance(node, ast.Call):
            names, called = [], node.func
            while isinstance(called, ast.Attribute):
                names.append(called.attr)
                called = called.value
            yield node, ".".join([called.id if isinstance(called, ast.Name) else "", *reversed(names)])


def imported(tree: ast.AST, *, at_import: bool = False) -> set[str]:
    names: set[str] = set()
    for node in nodes(tree, at_import=at_import):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            assert node.module is not None
            names |= {
                f"{node.module}.{alias.name}" if node.module == "logolens" else node.module for alias in node.names
            }
    return names


@functools.cache
def parse(path: Path) -> ast.Module:
    """The module as it is when it is imported: what stands under ``if __name__ == "__main__"`` is the command line's."""
    module = ast.parse(path.read_text(encoding="utf-8"), str(path))
    module.body = [
        node
        for node in module.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'")
    ]
    return module


def neighbours(path: Path) -> set[str]:
    found = {name.split(".")[1] for name in imported(parse(path)) if name.startswith("logolens.")}
    return found - {unit_of(path)}


def rank(unit: str) -> int:
    for position, row in enumerate(ORDER):
        if unit in row:
            return position
    raise AssertionError(f"{unit} is new: give it its place in the order of this test")


@pytest.mark.parametrize("room", ROOMS)
def test_a_module_imports_only_from_those_before_it(room: str) -> None:
    for path in ROOMS[room]:
        late = {name for name in neighbours(path) if rank(name) >= rank(room)}
        assert not late, f"{path}: {room} may not import {', '.join(sorted(late))}"


def test_predicting_needs_only_its_own_part() -> None:
    for path in MODULES:
        if unit_of(path) in PREDICTING and not name_of(path).startswith(NOT_PREDICTING):
            assert neighbours(path) <= PREDICTING, path
            assert not {name for name in imported(parse(path)) if name.startswith(NOT_PREDICTING)}, path


def test_only_the_command_line_imports_itself() -> None:
    for path in MODULES:
        if unit_of(path) not in ("cli", "__main__", "retrain", "classify"):
            assert "click" not in imported(parse(path)), path
            assert "rich" not in {name.split(".")[0] for name in imported(parse(path))}, path


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_loads_a_heavy_package_when_it_is_imported(room: str) -> None:
    for path in ROOMS[room]:
        if {"backbones", "finetune"} & set(path.relative_to(ROOT).parts):
            continue  # Parts of these are imported only when a network is built; what loads them is seen below.
        # What reads the web is imported only when a web address is given; that too is seen below.
        # So is the service, but for the package's own door.
        heavy = HEAVY - SPARED.get(room if path.name != "__init__.py" else "", set())
        assert not {name.split(".")[0] for name in imported(parse(path), at_import=True)} & heavy, path


@pytest.mark.parametrize("room", ROOMS)
def test_the_core_neither_prints_nor_exits_nor_unpickles(room: str) -> None:
    for path in ROOMS[room]:
        for node, called in calls(path):
            if room not in ("cli", "__main__", "retrain", "classify"):
                assert called not in ("print", "input", "exit", "quit", "sys.exit", "os._exit"), f"{path}:{node.lineno}"
            assert called.split(".")[0] not in ("pickle", "joblib", "marshal", "shelve"), f"{path}:{node.lineno}"
            assert called not in ("eval", "exec", "os.system"), f"{path}:{node.lineno}"
            given = {
                each.arg: ast.unparse(each.value) for each in node.keywords if each.arg in ("shell", "weights_only")
            }
            if called == "torch.load":
                assert given.get("weights_only") == "True", f"{path}:{node.lineno}"
            assert given.get("shell", "False") == "False", f"{path}:{node.lineno}"


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_listed_and_explained(room: str) -> None:
    for path in ROOMS[room]:
        check_public_names(path)


def check_public_names(path: Path) -> None:
    tree = parse(path)
    assert ast.get_docstring(tree) or path.name == "_version.py"
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "__all__"
        and isinstance(node.value, ast.List)
    ]
    if path.name in ("__main__.py", "_version.py"):
        return
    if not lists:
        public = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        assert all(name.startswith("_") for name in public), f"{path} has no __all__"
        return
    (listed,) = lists
    names = [ast.literal_eval(element) for element in listed.elts]
    assert len(set(names)) == len(names)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names:
            assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_explained_is_there_under_that_name(room: str) -> None:
    """The arguments and attributes of docstrings: a name that was changed is changed there, too."""
    for path in ROOMS[room]:
        check_explained_names(path)


def check_explained_names(path: Path) -> None:
    for node in ast.walk(parse(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            there = {each.arg for each in (*arguments, node.args.vararg, node.args.kwarg) if each is not None}
            assert not explained(node, "Args") - there, f"{path}:{node.lineno} {node.name}"
        elif isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            fields = {
                each.target.id
                for each in node.body
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            }
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            assert not explained(node, "Attributes") - fields - methods, f"{path}:{node.lineno} {node.name}"


def explained(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, section: str) -> set[str]:
    """The names that a section of a docstring explains."""
    text = (ast.get_docstring(node) or "").partition(f"{section}:\n")[2]
    body = re.split(r"^\w+:$", text, maxsplit=1, flags=re.MULTILINE)[0]
    return {name for names in re.findall(r"^    (\w+(?:, \w+)*):", body, re.MULTILINE) for name in names.split(", ")}


_LOADED = """
import sys
import logolens, logolens.inference.classifier, logolens.cli
import logolens.training.train, logolens.evaluation, logolens.models.backbones, logolens.data, logolens.bundle.plots
import logolens.recipes.demo
from logolens import Classifier, TrainSettings
from logolens.cli import main
for arguments in (["--help"], ["train", "--help"], ["predict", "--help"], ["--version"]):
    assert main(arguments) == 0
print(",".join(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
(prediction,) = Classifier.load(sys.argv[1], threads=1).predict([sys.argv[2]])
assert prediction.label, prediction
print(",".join(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def test_importing_asking_for_help_and_predicting_load_nothing_heavy(bundle: object, make_photos: object) -> None:
    from conftest import Trained

    assert isinstance(bundle, Trained)
    photo = next((bundle.data / "acme").iterdir())
    run = subprocess.run(
        [sys.executable, "-c", _LOADED, str(bundle.path), str(photo)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    before, after = (set(line.split(",")) for line in run.stderr.split()[-2:])
    assert {"logolens", "numpy", "PIL"} <= before
    assert not before & HEAVY
    # A bundle that looks closer reads its head; one with a matcher seeks key points. Both are the core's own.
    assert {"onnxruntime", "safetensors"} <= after
    assert not after & (HEAVY - {"safetensors", "cv2"})


_SERVING = """
import sys
from pathlib import Path
from logolens.serve import create_app
import logolens.serve.running
before = {name.split(".")[0] for name in sys.modules}
create_app({"brands": Path(sys.argv[1])})
after = {name.split(".")[0] for name in sys.modules}
print(",".join(sorted(before)), ",".join(sorted(after)), sep="\\n", file=sys.stderr)
"""


def test_serving_loads_no_torch_and_nothing_of_training() -> None:
    pytest.importorskip("fastapi")
    run = subprocess.run([sys.executable, "-c", _SERVING, "brands"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    before, after = (set(line.split(",")) for line in run.stderr.split()[-2:])
    assert not before & HEAVY
    assert "fastapi" in after
    assert not after & (HEAVY - SPARED["serve"])


def test_the_version_is_written_once() -> None:
    import logolens

    assert logolens.__version__ == logolens._version.__version__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = logolens.nothing
    for name in logolens.__all__:
        assert getattr(logolens, name) is not None
