"""The one place where an error becomes an answer: a refusal is its sentence, anything else is logged once."""

from __future__ import annotations

import logging
from typing import Any
from uuid import uuid4

import discord
from discord import app_commands

from commands import replies
from commands.refusals import Refused
from joins.errors import InviteLogError

_log = logging.getLogger("commands")


async def on_error(interaction: discord.Interaction[Any], error: Exception) -> None:
    """Answers an interaction that failed. Never raises."""
    cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
    sentence = _sentence(interaction, cause)
    try:
        await say(interaction, sentence)
    except Exception as lost:
        # Its token is spent, the channel is gone, or the client is closing: nobody is left to tell.
        _log.warning("the answer to %s could not be delivered: %r", _what(interaction), lost)


async def say(interaction: discord.Interaction[Any], sentence: str) -> None:
    """Answers with one sentence that only the asker sees, whether or not the answer was deferred."""
    content = sentence[: replies.CONTENT]
    if interaction.response.is_done():
        await interaction.followup.send(content, ephemeral=True, allowed_mentions=discord.AllowedMentions.none())
    else:
        await interaction.response.send_message(
            content, ephemeral=True, allowed_mentions=discord.AllowedMentions.none()
        )


def _sentence(interaction: discord.Interaction[Any], cause: Exception) -> str:
    if isinstance(cause, Refused):
        return str(cause)
    if isinstance(cause, InviteLogError):
        _log.warning("%s failed: %s", _what(interaction), cause)
        return str(cause)
    if isinstance(cause, app_commands.CommandSignatureMismatch | app_commands.CommandNotFound):
        return "This command has changed since your Discord loaded it: reload Discord (Ctrl+R) and try again."
    if isinstance(cause, app_commands.TransformerError):
        return "Discord sent a value that this command cannot read: choose it from the list and try again."
    if isinstance(cause, app_commands.CheckFailure):
        return "You may not use this command here."
    reference = uuid4().hex[:8]
    _log.error("%s failed (reference %s)", _what(interaction), reference, exc_info=cause)
    return f"Something went wrong, and it was written to the bot's own log (reference `{reference}`). Please try again."


def _what(interaction: discord.Interaction[Any]) -> str:
    command = interaction.command
    return f"/{command.qualified_name}" if command is not None else "a button"
