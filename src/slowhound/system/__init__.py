"""Files, folders, locks, threads and /proc, used safely; and the guard around all of slowhound."""
