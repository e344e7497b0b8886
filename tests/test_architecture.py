"""The arrows that must never be, read from the syntax tree, lazy and typing imports included."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "medvision"

WINGS = {
    "io",
    "preprocess",
    "augment",
    "synthesis",
    "learn",
    "explain",
    "report",
    "audit",
    "deploy",
    "phantom",
}
GROUND = {"errors", "layout", "domain", "runtime"}

# Importing room -> rooms and libraries it may never import.
NEVER: dict[str, set[str]] = {
    **{
        wing: {f"medvision.{other}" for other in WINGS - {wing}}
        | {"medvision.config", "medvision.cli"}
        for wing in WINGS
    },
    "domain": {"medvision.*", "third-party"},
    "runtime": {f"medvision.{wing}" for wing in WINGS} | {"medvision.config", "medvision.cli"},
    "config": {f"medvision.{wing}" for wing in WINGS} | {"medvision.cli"},
    "errors": {"medvision.*", "third-party"},
    "layout": {"medvision.*", "third-party"},
}
# Library -> the only rooms that may import it.
ONLY: dict[str, set[str]] = {
    "torch": {"preprocess", "augment", "synthesis", "learn", "explain", "deploy", "runtime", "cli"},
    "monai": {"preprocess", "augment", "synthesis", "learn", "explain", "deploy"},
    "pydicom": {"io", "phantom", "deploy"},
    "captum": {"explain"},
    "optuna": {"learn"},
    "SimpleITK": {"preprocess"},
    "snakemake": set(),
    "torchvision": set(),
}
DOMAIN_MAY = {"numpy", "medvision.errors", "medvision.domain"}


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def list_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports must be absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def find_faults(path: Path) -> list[str]:
    room = room_of(path)
    never = NEVER.get(room, set())
    faults = []
    for name in list_imports(path):
        if any(name == bad or name.startswith(bad + ".") for bad in never):
            faults.append(f"{path.relative_to(PACKAGE)} imports {name}")
        top = name.partition(".")[0]
        if top in ONLY and room not in ONLY[top]:
            faults.append(f"{path.relative_to(PACKAGE)} imports {top}")
        if "third-party" in never and not _is_allowed_in_domain(name, top):
            faults.append(f"{path.relative_to(PACKAGE)} imports {name}")
    return faults


def _is_allowed_in_domain(name: str, top: str) -> bool:
    return top in sys.stdlib_module_names or any(
        name == good or name.startswith(good + ".") for good in DOMAIN_MAY
    )


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_imports_what_it_must_never(path: Path) -> None:
    assert find_faults(path) == []


def test_the_check_finds_planted_arrows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    planted = {
        "io/a.py": "def f():\n    import torch",
        "learn/b.py": "from medvision.io import tables",
        "explain/c.py": "if TYPE_CHECKING:\n    import medvision.config.model",
        "domain/d.py": "import scipy",
        "report/e.py": "import pydicom",
        "cli/f.py": "import snakemake",
    }
    for name, text in planted.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert find_faults(path), name


def test_every_room_is_known() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms <= WINGS | GROUND | {"config", "cli"}


def test_no_module_is_longer_than_300_lines() -> None:
    long = {
        str(p.relative_to(PACKAGE)): n for p in MODULES if (n := p.read_text().count("\n")) > 300
    }
    assert long == {}


def test_no_function_body_is_longer_than_40_lines() -> None:
    long = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                if length > 40:
                    long[f"{path.relative_to(PACKAGE)}:{node.name}"] = length
    assert long == {}


def test_nothing_prints_or_asserts_in_the_package() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.Assert), f"{path}: assert"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path}: print"


LIGHT = [
    ["--help"],
    ["--version"],
    ["status"],
    ["doctor", "--help"],
    ["config"],
    ["config", "--set", "train.epoch=1"],
]


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_import_no_heavy_library(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from medvision.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'monai', 'captum', 'matplotlib', 'scipy', 'snakemake', 'optuna'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_workflow_python_stays_in_common_smk() -> None:
    for path in (PACKAGE.parent / "workflow" / "rules").glob("*.smk"):
        text = path.read_text()
        assert not {"run:", "script:"} & set(text.split()), path
        if path.name != "common.smk":
            assert not {"import", "def"} & set(text.split()), path
        else:
            imports = [
                line for line in text.splitlines() if "import" in line and "medvision" in line
            ]
            allowed = (
                "from medvision import __version__",
                "from medvision.config",
                "from medvision.layout",
                "from medvision.runtime.lead import tell_of_run",
                "from medvision.runtime.workflow",
            )
            assert all(line.startswith(allowed) for line in imports), imports
