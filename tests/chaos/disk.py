"""A disk of its own for the log folder, so that it can be full without filling the machine's."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

STEP = 1 << 20  # bytes by which the ballast grows; at the end single blocks
BLOCK = 4096


class Disk:
    """A small tmpfs at `path`; where this machine does not let us mount one, a plain folder that cannot be filled."""

    def __init__(self, path: Path, size: int) -> None:
        """`size` in bytes."""
        self.path, self._ballast = path, path / "ballast"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(path)]
        if shutil.which("mount") is None:
            self.refusal: str | None = "there is no `mount` on this machine"
            return
        done = subprocess.run(command, capture_output=True, text=True)
        self.refusal = done.stderr.strip() if done.returncode else None

    def fill(self) -> None:
        """Takes every byte that is left."""
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT)
        try:
            size = 0
            for step in (STEP, BLOCK):
                try:
                    while True:
                        os.posix_fallocate(descriptor, size, step)
                        size += step
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        finally:
            os.close(descriptor)

    def free(self) -> None:
        """Gives it back."""
        self._ballast.unlink(missing_ok=True)

    def close(self, keep: bool) -> None:
        """Lets go of the disk; `keep` leaves what was on it in the folder."""
        if self.refusal is not None:
            return
        kept = self.path.with_name(f"{self.path.name}.kept")
        if keep:
            self.free()
            # The server's socket is no file that could be copied.
            shutil.copytree(self.path, kept, ignore=shutil.ignore_patterns("*.sock"))
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)
        self.path.rmdir()
        if keep:
            kept.rename(self.path)
