"""The order of the rooms: imports go down only; no dangerous calls, no machine paths, no name undocumented."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pdesurr"
MOST_LINES = 350

# A room may import what stands above it in this table and, within one line, only itself.
LEVELS = [
    ["_files", "_runtime", "_version", "_xla", "allocator", "checks", "types"],
    ["fields"],
    ["solvers", "nn", "metrics"],
    ["pdes", "models"],
    ["data", "recipes"],
    ["objectives", "builders"],
    ["train"],
    ["surrogates"],
    ["uq", "optimise"],
    ["report", "recovery"],
    ["workflow"],
    ["doctor"],
    ["commands_data"],
    ["commands"],
    ["cli"],
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
BOTTOM = set(LEVELS[0])

# Who alone may import a third-party package, at any depth of a function.
ONLY_IN = {
    "h5py": ("data/",),
    "grain": ("data/streaming.py",),
    "flax": ("models/flax.py",),
    "diffrax": ("solvers/", "models/"),
    "tyro": ("cli", "commands"),
}
FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "__import__", "yaml.load", "pickle.load", "pickle.loads", "torch.load"}
MACHINE_PATHS = ("/tmp", "/home/", "/root/", "/Users/")

FILES = sorted(PACKAGE.rglob("*.py"))
SOURCES = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def room_of(path: Path) -> str:
    """The room a file belongs to: its folder, or its own name at the top level."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def type_checking_nodes(tree: ast.Module) -> set[ast.AST]:
    """Nodes that only a type checker sees."""
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {inner for guard in guards for inner in ast.walk(guard)}


def imported(path: Path) -> list[tuple[str, int]]:
    """Absolute names of modules imported anywhere in a file, without those for a type checker only."""
    tree = tree_of(path)
    skipped = type_checking_nodes(tree)
    package = ["pdesurr", *path.relative_to(PACKAGE).parts[:-1]]
    found = []
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [(f"{module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def may_import(room: str, target: str) -> bool:
    """Whether the order of the rooms allows it."""
    if room == target or room in ("__init__", "__main__"):
        return True
    if target not in LEVEL or room not in LEVEL:
        return False
    return LEVEL[target] < LEVEL[room] or (room in BOTTOM and target in BOTTOM)


@SOURCES
def test_imports_go_down_only(path):
    room = room_of(path)
    for name, line in imported(path):
        parts = name.split(".")
        if parts[0] != "pdesurr":
            continue
        if name == "pdesurr.__version__":
            continue
        assert len(parts) > 1 and parts[1] in LEVEL or room in ("__init__", "__main__"), (
            f"{path.name}:{line}: {name}: a room imports from the room that holds the name, not from the front door"
        )
        if room not in ("__init__", "__main__"):
            assert may_import(room, parts[1]), f"{path.name}:{line}: {room} must not import {parts[1]}: {name}"


@SOURCES
def test_every_file_is_in_a_known_room(path):
    room = room_of(path)
    assert room in LEVEL or room in ("__init__", "__main__"), f"{room} has no place in the order of the rooms"


@SOURCES
def test_third_parties_stay_in_their_room(path):
    relative = path.relative_to(PACKAGE).as_posix()
    for name, line in imported(path):
        top = name.split(".")[0]
        assert top not in FORBIDDEN_MODULES, f"{relative}:{line}: {top} can run code from a file"
        allowed = ONLY_IN.get(top)
        assert allowed is None or relative.startswith(allowed), f"{relative}:{line}: {top} belongs in {allowed}"


@SOURCES
def test_no_dangerous_calls(path):
    tree = tree_of(path)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        where = f"{path.relative_to(PACKAGE)}:{node.lineno}"
        assert call not in FORBIDDEN_CALLS, f"{where}: {call} runs what it is given"
        # A front door looks names up in its own table; nothing else imports by name.
        front_door = path.name == "__init__.py"
        assert front_door or call.split(".")[-1] != "import_module", f"{where}: import by name"
        pickled = any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords)
        assert not pickled, f"{where}: allow_pickle must be False"


@SOURCES
def test_no_machine_paths(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.startswith(MACHINE_PATHS), f"{path.name}:{node.lineno}: {node.value!r}"


@SOURCES
def test_files_are_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{path.name} has {lines} lines; split it by subject"


def test_the_order_test_can_fail():
    """A PDE that imports a model, and a field that imports data, are caught."""
    assert not may_import("pdes", "models")
    assert not may_import("models", "pdes")
    assert not may_import("fields", "data")
    assert not may_import("train", "surrogates")
    assert may_import("data", "pdes")


def test_the_version_is_the_same_everywhere():
    import pdesurr

    assert f'version = "{pdesurr.__version__}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


ROOMS = sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py"))


def needs_docstring(value: object) -> bool:
    """Classes, functions; not constants or type aliases."""
    return inspect.isclass(value) or inspect.isroutine(value)


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_documented(room):
    module = importlib.import_module(f"pdesurr.{room}")
    assert module.__doc__, f"pdesurr.{room} has no docstring"
    for name in getattr(module, "__all__", []):
        value = getattr(module, name)
        if needs_docstring(value):
            text = (value.__doc__ or "").strip()
            # A dataclass without a docstring is given its own signature as one.
            assert text and not text.startswith(f"{name}("), f"pdesurr.{room}.{name} has no docstring"


def test_the_front_door_opens():
    """Every name of the front door is where the table says, and the table, `__all__` and `dir` agree."""
    import pdesurr

    assert sorted(pdesurr._HOME) == sorted(pdesurr.__all__)
    assert set(pdesurr.__all__) <= set(dir(pdesurr))
    assert len(pdesurr.__all__) <= 32
    for name in pdesurr.__all__:
        assert getattr(pdesurr, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        pdesurr.Nonsense  # noqa: B018


def test_what_is_listed_as_slow_exists():
    for line in (PACKAGE.parent / "tests" / "slow.txt").read_text().splitlines():
        file, test = line.split("[")[0].split("::")
        assert f"def {test}(" in (PACKAGE.parent / "tests" / file).read_text(), line
