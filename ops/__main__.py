"""`python -m ops <command>`, installed as `invitelog`: the one entry of every command a person types.

A command's module is imported when it is called, so that each process holds only what it needs in memory.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from joins.errors import InviteLogError

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended: 128 + SIGINT

# name: where the command lives, and its line in the help
COMMANDS = {
    "up": ("ops.up:up", "Run every process on this machine, each restarted on its own."),
    "status": ("ops.status:status", "Show each sink's head, backlog and trouble."),
    "doctor": ("ops.doctor:doctor", "Check settings, Discord, Redis, disk and cloud, with a remedy for each fault."),
    "backfill": ("ops.backfill:backfill", "Record members who joined before the log began."),
    "erase": ("ops.erase:erase", "Take a person's names out of every copy, on demand."),
    "verify": ("ops.verify:verify", "Prove that no copy was altered, or name what was."),
    "watch": ("ops.watch:watch", "Verify once a day, and call HEARTBEAT_URL while all is well."),
    "backup": ("ops.backup:backup", "Make a backup now, list them, or check that one can be restored."),
    "archive": ("ops.archive:archive", "Archive closed months of the log files now, or list the archives."),
    "restore": ("ops.restore:restore", "Bring logs and database back from the cloud, also as of an earlier time."),
    "heal": ("ops.heal:heal", "Give a Redis server that forgot its records those records back."),
    "rebuild": ("ops.rebuild:rebuild", "Make one copy anew from another."),
    "dead-letters": ("ops.dead_letters:dead_letters", "List, show and requeue entries that were no valid record."),
    "adopt": ("ops.adopt:adopt", "Take over the log of an earlier bot as history."),
    "demo": ("ops.demo:demo", "Show it all at work against a sandbox Discord."),
    "health": ("ops.health:health", "Answer /healthz on PORT."),
}


class Commands(click.Group):
    """Imports a command when it is called; turns an error of ours into one sentence and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InviteLogError as error:
            click.echo(f"invitelog: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(ctx: click.Context) -> None:
    """The persistent invite log: which invite each Discord member used, recorded for good."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


if __name__ == "__main__":
    main(prog_name="invitelog")
