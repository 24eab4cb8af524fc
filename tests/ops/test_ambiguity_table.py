"""The table of joins that stay ambiguous, and the document that shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.bench.ambiguity import BEGIN, END, ambiguous, main, table
from producer import attribution, differences

DOCUMENT = Path(__file__).parents[2] / "docs" / "attribution.md"


def test_the_documents_table_is_what_the_script_makes() -> None:
    assert f"{BEGIN}\n{table(1000, 1)}\n{END}" in DOCUMENT.read_text()


def test_joins_that_come_alone_or_by_the_only_invite_are_never_ambiguous() -> None:
    assert [ambiguous(50, 1, 20, seed=3), ambiguous(50, 10, 1, seed=3)] == [0, 0]
    assert 0 < ambiguous(50, 2, 2, seed=3) < 50


def test_the_script_renews_the_table_of_a_document_and_leaves_the_rest(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    result = CliRunner().invoke(main, ["--joins", "20", "--write", str(document)])
    assert result.exit_code == 0, result.output
    assert document.read_text() == f"above\n{BEGIN}\n{table(20, 1)}\n{END}\nbelow\n"


def test_a_document_without_a_place_for_the_table_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("above\n")
    result = CliRunner().invoke(main, ["--joins", "20", "--write", str(document)])
    assert result.exit_code == 1
    assert "has no place for the table" in result.output


@pytest.mark.parametrize("module", [attribution, differences])
def test_every_method_that_the_attribution_gives_is_in_the_document(module: object) -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE))
    names = [name for name in vars(module) if name.isupper()]
    methods = {value for name in names if isinstance(value := getattr(module, name), str)}
    assert methods <= told
