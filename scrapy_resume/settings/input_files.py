"""Hashes of the files that a crawl depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from scrapy_resume.errors import ConfigurationError, InputChangedError


def hash_inputs(paths: Iterable[str], recorded: Collection[str] = ()) -> dict[str, str]:
    """Path → SHA-256 in hex. ``recorded`` are the paths that were hashed when the job began.

    Raises ``InputChangedError`` for a file of these that cannot be read now, and
    ``ConfigurationError`` for any other that cannot be read.
    """
    hashes: dict[str, str] = {}
    for path in paths:
        digest = hashlib.sha256()
        try:
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        except OSError as error:
            trouble = f"The input file {path} cannot be read ({error.strerror})"
            if path in recorded:
                raise InputChangedError(
                    f"{trouble}, but the job began with it. Put it back, or begin a new job:"
                    " RESUME_MODE=fresh."
                ) from error
            raise ConfigurationError(
                f"{trouble}. Mend its path in RESUME_INPUT_FILES or in the spider's"
                " resume_input_files, or remove it there."
            ) from error
        hashes[path] = digest.hexdigest()
    return hashes
