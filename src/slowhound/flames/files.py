"""The files of profiles: ``DIR/flames/flame_*.flame.json.gz``, one per request, 0600, capped.

Names are made of time, pid, a number and chance, never of the request. Drawings of the same name
with another ending stand beside them and count for the cap.
"""

from __future__ import annotations

import contextlib
import os
import re

from slowhound.flames import profile as profiles
from slowhound.flames.profile import SUFFIX, Profile
from slowhound.runtime.clocks import utc_stamp
from slowhound.system.files import ANY_USER, open_own, write_new, write_whole
from slowhound.system.losses import lost
from slowhound.system.private_dir import Cap, subfolder

FOLDER = "flames"
_STEM = r"flame_\d{8}T\d{6}Z_\d{1,10}_\d{1,20}_[0-9a-f]{8}"
OURS = re.compile(_STEM + re.escape(SUFFIX))
# What is removed when there is too much of it.
ALL_OURS = re.compile(_STEM + r"\.(flame\.json\.gz|svg|speedscope\.json)")


class FlameFiles:
    """Writes, reads and caps the files of profiles.

    Args:
        directory: ``DIR``; profiles go into a checked folder of their own below it.
        max_bytes: what all of them, and the drawings beside them, may take.
        folder: a folder that the settings name (``FLAMES_DIR``); used as it is.
    """

    def __init__(self, directory: str, max_bytes: int, folder: str | None = None) -> None:
        self.directory = directory
        self.folder = folder
        self._cap = Cap("flame graphs", max_bytes, ALL_OURS)

    def name(self, number: int) -> str:
        """A new file name for the ``number``-th request of this process."""
        stamp = utc_stamp()
        # Random at its end: in a shared folder nobody can make the file beforehand.
        return f"flame_{stamp}_{os.getpid()}_{number}_{os.urandom(4).hex()}{SUFFIX}"

    def write(self, name: str, profile: Profile) -> bool:
        """Writes a new file; False, and counted, when that fails.

        Raises:
            ValueError: ``name`` is not one that ``name`` gives.
        """
        return self._write(name, profile, None)

    def rewrite(self, name: str, profile: Profile) -> bool:
        """The same in the place of a file that is there, which stays when it fails."""
        return self._write(name, profile, self.name(0))

    def _write(self, name: str, profile: Profile, draft: str | None) -> bool:
        _check(name)
        data = profiles.dump(profile)
        try:
            folder = self.folder or subfolder(self.directory, FOLDER)
            path = os.path.join(folder, name)
            if draft is None:
                write_new(path, data)
            else:
                write_whole(path, data, os.path.join(folder, draft))
        except OSError as exc:
            lost("flame graphs", exc)
            return False
        self._cap.keep(folder, path)
        return True

    def remove(self, name: str) -> None:
        """Takes a file away that no event names."""
        _check(name)
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder or os.path.join(self.directory, FOLDER), name))

    def read(self, name: str) -> Profile:
        """The profile in the file called ``name``.

        Raises:
            ValueError: ``name`` is not one that ``name`` gives, or the file holds no profile.
            OSError: there is no such file, or it cannot be read.
        """
        _check(name)
        path = os.path.join(self.folder or os.path.join(self.directory, FOLDER), name)
        with open(open_own(path, owner=ANY_USER), "rb") as file:
            # Packed it is never larger than unpacked, and `load` refuses what unpacks to more.
            return profiles.load(file.read(profiles.MAX_BYTES))


def _check(name: str) -> None:
    if not OURS.fullmatch(name):
        raise ValueError(f"not the name of a profile: {name[:200]!r}")
