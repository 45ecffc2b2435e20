"""A content-addressed cache of answers: one JSON file a request, named by the SHA-256 of all that was asked.

Files instead of a data base: an atomic rename is all the locking it needs, several processes may share it, and a
person can read it. Nothing is ever unpickled.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from skinr1.errors import UserError
from skinr1.stage import canonical_json, write_atomic

_REMOVE = "Remove the file; the question will be asked again."


class Completion(BaseModel):
    """What a model answered. Token counts are None where the server does not say.

    ``finish_reason`` is ``stop`` for a finished answer, ``length`` for one cut at ``max_tokens``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    text: str
    finish_reason: str
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)


def request_key(body: Any) -> str:
    """SHA-256 of the whole request: model, sampling, every word, every byte of every image.

    The address of the endpoint is left out, so that a cache moves between machines that serve the same model. Give
    another folder when other weights are served under an old name.
    """
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()


class Cache:
    """The folder. An entry holds its request as well, each image replaced by its hash."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where the answer to a request lies, or would."""
        return self.folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> Completion | None:
        """The answer, if the request was ever answered.

        Raises:
            UserError: the entry is damaged or was made for another request.
        """
        path = self.path(key)
        try:
            entry = json.loads(path.read_bytes())
            if entry["key"] != key:
                raise UserError("cache entry is of another request", str(path), _REMOVE)
            return Completion.model_validate(entry["answer"])
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError, ValidationError, KeyError, TypeError):
            raise UserError("cache entry is damaged", str(path), _REMOVE) from None

    def put(self, key: str, body: Any, answer: Completion) -> None:
        """Keeps an answer: after this returns, no kill loses it."""
        entry = {"key": key, "request": _without_images(body), "answer": answer.model_dump()}
        write_atomic(self.path(key), canonical_json(entry) + "\n")


def _without_images(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _without_images(value) for name, value in part.items()}
    if isinstance(part, list):
        return [_without_images(value) for value in part]
    if isinstance(part, str) and part.startswith("data:image/"):
        return f"sha256:{hashlib.sha256(part.encode()).hexdigest()}"
    return part
