"""API keys: a file of names and hashes, read again when it changes; ``skinr1 key`` writes it.

A key has 256 random bits, so one round of SHA-256 keeps it: there is nothing to guess that a slow hash would protect.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from pathlib import Path

from skinr1.errors import UserError
from skinr1.stage import write_atomic

PREFIX = "sk-skinr1-"
_LINE = re.compile(r"^([A-Za-z0-9_.-]{1,64}) ([0-9a-f]{64})$")
_NAME = re.compile(r"^[A-Za-z0-9_.-]{1,64}$")


def read_keys(path: Path) -> dict[str, str]:
    """Name -> hash.

    Raises:
        UserError: the file is missing or a line is none of ``name hash``.
    """
    if not path.is_file():
        raise UserError("file of API keys not found", str(path), "Make one: skinr1 key add NAME --file FILE.")
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            match = _LINE.match(line)
            if match is None:
                raise UserError("not a line of API keys", f"{path}:{number}", "Write `name sha256-of-the-key`.")
            found[match[1]] = match[2]
    return found


def add_key(path: Path, name: str) -> str:
    """A new key, of which only the hash is kept. Raises UserError when the name is taken or not a word."""
    if not _NAME.match(name):
        raise UserError("not a name for a key", name, "Use letters, digits, dot, dash and underscore.")
    keys = read_keys(path) if path.exists() else {}
    if name in keys:
        raise UserError("this name has a key", name, f"Revoke it first: skinr1 key revoke {name} --file {path}.")
    key = PREFIX + secrets.token_urlsafe(32)
    _write(path, {**keys, name: _hash(key)})
    return key


def revoke_key(path: Path, name: str) -> None:
    """Forgets a key. Raises UserError when there is none of this name."""
    keys = read_keys(path)
    if name not in keys:
        raise UserError("no key of this name", name, f"There are: {', '.join(keys) or 'none'}.")
    _write(path, {other: kept for other, kept in keys.items() if other != name})


def _write(path: Path, keys: dict[str, str]) -> None:
    write_atomic(path, "".join(f"{name} {kept}\n" for name, kept in keys.items()))
    path.chmod(0o600)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class KeyRing:
    """The keys of a file that may change while we run; a key taken out of it stops working with the next request.

    Raises:
        UserError: the file is missing or damaged at the start. Later, a missing or damaged file lets nobody in.
    """

    def __init__(self, path: Path):
        self.path, self._stamp = path, self._seen(path)
        self._keys = read_keys(path)

    def holder(self, authorization: str) -> str | None:
        """The name of the key in an Authorization header (Bearer, or the password of Basic); None when it has none.

        Every stored hash is compared, each in constant time, so that time tells nothing.
        """
        self._refresh()
        presented, found = _hash(_presented(authorization)), None
        for name, kept in self._keys.items():
            if hmac.compare_digest(presented, kept):
                found = name
        return found

    def _refresh(self) -> None:
        stamp = self._seen(self.path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = read_keys(self.path)
            except (UserError, UnicodeDecodeError):
                self._keys = {}

    @staticmethod
    def _seen(path: Path) -> tuple[int, int, int] | None:
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _presented(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return value.strip() if scheme.lower() == "bearer" else ""
