"""A disk that can be full: a small tmpfs of our own where the system lets us mount one, else a pretence inside each process."""

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path
from typing import Final

_NEW_MOUNTS: Final = 0x00020000
_NEW_USER: Final = 0x10000000
"""CLONE_NEWNS and CLONE_NEWUSER of unshare(2)."""
_BLOCK: Final = 1 << 20


class Disk:
    """The data folder of a run. `mounted` says whether it is a file system of its own, of at most `size` bytes.

    Make it before any thread is started: the mount is in a namespace of this process and its children, and ends with them.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.data = folder / "data"
        self._pretence = folder / "full"
        self._ballast = self.data / "ballast"
        self.data.mkdir()
        self.mounted = _mount(self.data, size)

    def fill(self) -> None:
        """Take every byte that is left."""
        if not self.mounted:
            self._pretence.touch()
            return
        block = bytes(_BLOCK)
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while file.write(block):
                pass

    def clear(self) -> None:
        self._pretence.unlink(missing_ok=True)
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.data)], check=False)


def _mount(folder: Path, size: int) -> bool:
    if not _own_mounts():
        return False
    tell_nobody = ["mount", "--make-rprivate", "/"]
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "steno-chaos", str(folder)]
    with contextlib.suppress(OSError):
        return all(subprocess.run(way, capture_output=True).returncode == 0 for way in (tell_nobody, mount))
    return False


def _own_mounts() -> bool:
    """A mount namespace of our own; a user who is not root gets one by way of a user namespace, where that is allowed."""
    try:
        unshare = ctypes.CDLL(None).unshare
    except AttributeError:  # not Linux
        return False
    if unshare(_NEW_MOUNTS) == 0:
        return True
    user, group = os.getuid(), os.getgid()
    if unshare(_NEW_USER | _NEW_MOUNTS) != 0:
        return False
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        return True
    return False
