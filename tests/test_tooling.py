from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path

import click
import pytest

from joins.settings import NAMES
from ops.__main__ import COMMANDS, main
from ops.programs import SINKS

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-build.txt", "requirements-fuzz.txt")
HEROKU_LOCKS = ("requirements.txt", "uv.lock", "poetry.lock", "Pipfile.lock")
INDEX = re.compile(
    r"--(extra-)?index-url|--find-links|trusted-host|pypi\.org|pythonhosted\.org|/simple\b", re.IGNORECASE
)


def procfile() -> dict[str, list[str]]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.split() for name, command in (line.split(": ", 1) for line in lines)}


def tracked() -> list[Path]:
    try:
        names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git and a checkout are needed to list the tracked files")
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_every_process_has_a_name_that_dokku_takes_and_a_module_that_exists() -> None:
    processes = procfile()
    assert list(processes) == ["web", "producer", *SINKS, "watch"]
    for name, (python, flag, module, *_) in processes.items():
        assert re.fullmatch("[a-z0-9]+", name)
        assert (python, flag) == ("python", "-m")
        assert importlib.util.find_spec(f"{module}.__main__"), module
    assert [processes[sink][3] for sink in SINKS] == list(SINKS)
    assert {processes["web"][3], processes["watch"][3]} <= COMMANDS.keys()


def test_app_json_describes_every_setting_and_fixes_no_quantity() -> None:
    app = json.loads((ROOT / "app.json").read_text())
    assert set(app["env"]) == set(NAMES)
    assert all(setting["description"].endswith(".") for setting in app["env"].values())
    assert "formation" not in app


def test_the_platform_finds_exactly_one_lock() -> None:
    assert [name for name in HEROKU_LOCKS if (ROOT / name).exists()] == ["requirements.txt"]
    assert re.fullmatch(r"3\.\d+", (ROOT / ".python-version").read_text().strip())


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==\S+ ", requirement), requirement[:80]
        assert "--hash=sha256:" in requirement, requirement[:80]


def pins(name: str) -> set[tuple[str, str]]:
    return set(re.findall(r"^([a-z0-9-]+)(?:\[\S+\])?==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_what_runs_is_what_was_tested() -> None:
    assert pins("requirements.txt") | pins("requirements-build.txt") <= pins("requirements-dev.txt")


def test_no_tracked_file_names_a_package_index() -> None:
    named = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path != Path(__file__) and INDEX.search(path.read_text(errors="replace").replace("--no-emit-index-url", ""))
    ]
    assert named == []


def test_of_the_log_folder_only_its_readme_is_tracked() -> None:
    inside = {path.name for path in tracked() if path.parent.name == "invite_logs"}
    assert inside == {".gitignore", "README.md"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_a_line_in_the_readme(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    assert f"invitelog {name}" in (ROOT / "README.md").read_text()


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    main([], standalone_mode=False)
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in COMMANDS)
