"""`invitelog doctor`: every check in turn, each with its remedy."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from collections.abc import Iterator

import click

from joins import settings as settings_module
from joins.errors import SettingsError
from ops.check_discord import check_discord
from ops.check_server import check_redis
from ops.check_storage import check_cloud, check_disk
from ops.finding import FAIL, OK, Finding

LEAST_PYTHON = (3, 11)


def examine() -> Iterator[Finding]:
    """Every finding, in order, each as soon as it is known."""
    if sys.version_info >= LEAST_PYTHON:
        yield Finding(OK, "Python", platform.python_version())
    else:
        yield Finding(FAIL, "Python", platform.python_version(), "Install Python 3.11 or later.")
    try:
        settings = settings_module.load()
    except SettingsError as error:
        yield Finding(FAIL, "settings", str(error), "Correct them; the other checks need them and come after.")
        return
    yield Finding(OK, "settings", "each is valid, none looks misspelt")
    for check in (check_discord, check_redis, check_disk, check_cloud):
        yield from check(settings)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check settings, Discord, Redis, disk and cloud; name the remedy for each fault.

    Exit status 0 when nothing failed (warnings are allowed), else 1.
    """
    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.state:<4}  {finding.what} — {finding.detail}")
            if finding.remedy:
                click.echo(f"      {finding.remedy}")
    failed = any(finding.state == FAIL for finding in findings)
    if as_json:
        answer = {"ok": not failed, "checks": [dataclasses.asdict(finding) for finding in findings]}
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    ctx.exit(1 if failed else 0)
