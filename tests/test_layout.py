"""The floors of the building (ARCHITECTURE.md): which folder may import which, read from every file."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What each folder may import of ours; a folder may always import itself.
FLOORS: dict[str, set[str]] = {
    "joins": set(),
    "consumers": {"joins"},
    "commands": {"joins"},
    "producer": {"joins", "commands"},
    "ops": {"joins", "consumers", "commands", "producer"},
}
MAX_LINES = 400  # beyond it, two nouns live in one file
FOLDERS = {*FLOORS, "invite_logs", "tests"}
TOOL_FILES = {
    "Makefile", "Procfile", "app.json", "pyproject.toml", "requirements.txt", "requirements-dev.txt",
    "requirements-build.txt", "requirements-fuzz.txt", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE",
    "docs",
}  # fmt: skip


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Line and top-level name of every import, wherever in the file it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, package if node.level else (node.module or "").partition(".")[0]


@pytest.mark.parametrize("folder", FLOORS)
def test_a_folder_imports_only_from_the_floors_below(folder: str) -> None:
    allowed = FLOORS[folder] | {folder}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(folder)
        for line, name in imported(ast.parse(path.read_text()), folder)
        if name in {*FLOORS, "tests"} - allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", FLOORS)
def test_a_folder_imports_nothing_by_a_computed_name_of_ours(folder: str) -> None:
    """`import_module("ops…")` would pass the test above."""
    forbidden = {*FLOORS, "tests"} - FLOORS[folder] - {folder}
    wrong = []
    for path in sources(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
                names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
                wrong += [f"{path.name}:{node.lineno}" for name in names if name.partition(".")[0] in forbidden]
    assert wrong == []


@pytest.mark.parametrize("folder", [*FLOORS, "tests"])
def test_no_file_is_longer_than_one_noun_needs(folder: str) -> None:
    long = {path.name: count for path in sources(folder) if (count := len(path.read_text().splitlines())) > MAX_LINES}
    assert long == {}


@pytest.mark.parametrize("folder", FLOORS)
def test_every_module_says_what_it_is(folder: str) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources(folder)
        if path.read_text().strip() and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert silent == []


def test_the_top_level_holds_only_what_the_design_names() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        names = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
        names -= {"demo", "__pycache__", *(name for name in names if name.endswith(".egg-info"))}
    else:
        names = {line.partition("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= FOLDERS | TOOL_FILES
    assert names >= FOLDERS - {"invite_logs"}


def test_discord_is_unknown_where_records_are_judged_and_kept() -> None:
    """Attribution is pure, and neither the contract nor a sink knows where the records come from."""
    for path in [*sources("joins"), *sources("consumers"), ROOT / "producer" / "attribution.py"]:
        assert "discord" not in {name for _, name in imported(ast.parse(path.read_text()), "")}, path
