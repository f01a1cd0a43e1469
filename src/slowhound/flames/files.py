"""Writes, reads and caps the files of profiles: ``DIR/flames/flame_*.flame.json.gz``, mode 0600.

There is one for each request. Names are made of the time, the pid, a number and random digits,
never of the request. Drawings have the same name with another ending, and count towards the cap.
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
# Files that are removed when there are too many.
ALL_OURS = re.compile(_STEM + r"\.(flame\.json\.gz|svg|speedscope\.json)")


class FlameFiles:
    """Writes, reads and caps the files of profiles.

    Args:
        directory: ``DIR``; profiles are in a checked folder below it.
        max_bytes: the size of all of them together, with their drawings.
        folder: a folder that the settings name (``FLAMES_DIR``); used as is.
    """

    def __init__(self, directory: str, max_bytes: int, folder: str | None = None) -> None:
        self.directory = directory
        self.folder = folder
        self._cap = Cap("flame graphs", max_bytes, ALL_OURS)

    def name(self, number: int) -> str:
        """A new file name for the ``number``-th request of this process."""
        stamp = utc_stamp()
        # With random digits, so that no other user can create the file first in a shared folder.
        return f"flame_{stamp}_{os.getpid()}_{number}_{os.urandom(4).hex()}{SUFFIX}"

    def write(self, name: str, profile: Profile) -> bool:
        """Writes a new file; False, and counted, when that fails.

        Raises:
            ValueError: ``name`` is not one that ``name`` gives.
        """
        return self._write(name, profile, None)

    def rewrite(self, name: str, profile: Profile) -> bool:
        """Replaces an existing file, which stays when that fails."""
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
        """Removes a file that no event names."""
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
