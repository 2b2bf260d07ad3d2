"""Where a client's token comes from, and which of several is for its role."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .errors import InvalidError
from .types import ROLES

FILE_MAX = 65536


def pick(text: str, role: str, where: str) -> str:
    """Return the token for a role out of one token, or of several with the role before each.

    Raises InvalidError, which never names a token.
    """
    anybody = own = named = ""
    some = False
    for word in text.split():
        if word in ROLES:
            named = word
            continue
        some = True
        if not named:
            anybody = anybody or word
        elif named == role:
            own = own or word
        named = ""
    if some and not own and not anybody:
        raise InvalidError(f"{where} holds no token for the role {role}")
    return own or anybody


def _read(path: str) -> str:
    file = Path(path)
    try:
        mode = file.stat().st_mode
        if stat.S_ISREG(mode) and mode & stat.S_IRWXO:
            raise InvalidError(f"the token's file {path} may be read by everybody: chmod 600 it")
        with file.open("rb") as f:
            text = f.read(FILE_MAX).decode("ascii", "replace")
    except OSError as e:
        raise InvalidError(f"the token's file {path}: {e.strerror}") from None
    if not text.strip():
        raise InvalidError(f"the token's file {path} is empty")
    return text


def find(given: str | None, role: str) -> str:
    """Return what is given, else of $PMPO_TOKEN, else of the file $PMPO_TOKEN_FILE, else ""."""
    if given is not None:
        return pick(given, role, "what was given")
    if text := os.environ.get("PMPO_TOKEN"):
        return pick(text, role, "PMPO_TOKEN")
    if path := os.environ.get("PMPO_TOKEN_FILE"):
        return pick(_read(path), role, path)
    return ""
