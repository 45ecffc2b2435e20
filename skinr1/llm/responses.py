"""What a response of a server says: its answer, its complaint, and whether and when to come back."""

import email.utils
import time

import httpx
from pydantic import ValidationError

from skinr1.llm.cache import Completion


def passes(status: int) -> bool:
    """Whether the server is only busy, as it is with every 5xx; any other status will be the same next time."""
    return status in (408, 429) or status >= 500


def words_of(response: httpx.Response, key: str | None = None) -> str:
    """A failing server's own words; some repeat the key they were given, which is left out."""
    try:
        content = response.json()
        message = content.get("error", content).get("message", "")
    except (ValueError, AttributeError, RecursionError):
        message = response.text
    said = " ".join(_encodable(str(message)).split())
    return (said.replace(key, "[key]") if key else said)[:300]


def completion_of(response: httpx.Response) -> Completion | None:
    """None where the body is no chat completion: a proxy's page, or JSON cut short."""
    try:
        content = response.json()
        choice, usage = content["choices"][0], content.get("usage") or {}
        return Completion(
            text=_encodable(choice["message"].get("content") or ""),
            finish_reason=choice["finish_reason"],
            prompt_tokens=usage.get("prompt_tokens"),
            completion_tokens=usage.get("completion_tokens"),
        )
    except (ValueError, ValidationError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None


def _encodable(text: str) -> str:
    """Half a surrogate pair, which JSON allows and UTF-8 does not, is spelt out; no reader accepts its backslash."""
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text


def retry_after(response: httpx.Response) -> float:
    """Seconds from the header Retry-After: a number, or a date, read by the server's own clock where it tells it."""
    header = response.headers.get("retry-after", "").strip()
    if header.isdecimal():
        return float(header)
    until = _moment(header)
    if until is None:
        return 0.0
    now = _moment(response.headers.get("date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _moment(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
