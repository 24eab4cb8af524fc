"""The documents say what is so."""

from __future__ import annotations

import re
from pathlib import Path

from joins import errors
from joins.settings import NAMES
from ops.__main__ import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def _section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_setting_is_in_the_readme_and_nothing_else_is() -> None:
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", _section("Settings"), re.MULTILINE)) == set(NAMES)


def test_every_command_is_in_the_readme_and_nothing_else_is() -> None:
    shown = re.findall(r"^\| `invitelog ([\w-]+)", _section("The command line"), re.MULTILINE)
    assert sorted(shown) == sorted(COMMANDS)


def test_every_exit_status_is_in_the_readme() -> None:
    statuses = {error.exit_code for error in vars(errors).values() if _is_startup_error(error)}
    rows = re.findall(r"^\| ([\d, ]+) \|", _section("When something is wrong"), re.MULTILINE)
    assert {int(status) for row in rows for status in row.split(",")} == statuses


def test_every_dependency_has_its_reason_in_the_architecture() -> None:
    architecture = (ROOT / "ARCHITECTURE.md").read_text().partition("## Dependencies")[2]
    declared = re.findall(r'^    "([\w.-]+)[>=\[]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared
    assert [name for name in declared if name not in architecture] == []


def test_every_file_a_document_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def _is_startup_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, errors.StartupError) and value is not errors.StartupError
