"""Bodies that may carry files: JSON, or multipart with `payload_json` and `files[n]`.

Source: https://discord.com/developers/docs/reference#uploading-files
"""

from __future__ import annotations

import json
import re
from typing import Any

from aiohttp import BodyPartReader, web

from .messages import File
from .rest import ApiError, invalid_form, read_json
from .snowflake import SnowflakeMaker

_NUMBERED = re.compile(r"^files\[(\d+)\]$")


class FileStore:
    """Every uploaded file by id, for the address that stands in for Discord's CDN."""

    def __init__(self, snowflakes: SnowflakeMaker) -> None:
        self._snowflakes = snowflakes
        self.files: dict[int, File] = {}

    def add(self, name: str, data: bytes, content_type: str | None = None) -> File:
        """Keeps a new file."""
        file = File(self._snowflakes.make(), name, data, content_type=content_type)
        self.files[file.id] = file
        return file


async def read_body(request: web.Request, store: FileStore) -> tuple[dict[str, Any], dict[int, File]]:
    """The JSON part and the files by their number. Raises ApiError for a malformed body."""
    if not request.content_type.startswith("multipart/"):
        if not request.can_read_body:
            return {}, {}
        data = await read_json(request)
        if not isinstance(data, dict):
            raise invalid_form(body="Only dictionaries may be used in a DictType")
        return data, {}
    data, files = {}, {}
    reader = await request.multipart()
    async for part in reader:
        if not isinstance(part, BodyPartReader):
            raise invalid_form(body="Nested multipart is not supported")
        raw = bytes(await part.read(decode=True))
        numbered = _NUMBERED.match(part.name or "")
        if part.name == "payload_json":
            try:
                data = json.loads(raw)
            except ValueError:
                raise ApiError(400, 50109, "The request body contains invalid JSON.") from None
        elif numbered or part.name == "file":
            number = int(numbered[1]) if numbered else 0
            kind = part.headers.get("Content-Type")
            files[number] = store.add(part.filename or "file", raw, kind)
    return data, files
