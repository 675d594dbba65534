"""Files and processes: paths, whole writes, hashes, JSON, locks. Knows nothing of faces."""
