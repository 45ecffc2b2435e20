"""What vLLM's log says: what it is at, and why it ended."""

import re
from pathlib import Path

# "(EngineCore pid=7) INFO 11-23 12:00:00 [core.py:1] "
_LOG_PREFIX = re.compile(r"^(?:\([^)]*\) )?(?:[A-Z]+ \S+ \S+ \[[^]]*\] ?)?")


def last_line(log: Path) -> str:
    """What vLLM is at, for people who wait."""
    lines = [line for line in _lines(log) if not line.startswith("warnings.warn(")]  # which says nothing by itself
    return _LOG_PREFIX.sub("", lines[-1]) if lines[1:] else "loading Python modules"


def last_error(log: Path) -> str:
    """The log's first root cause: the last line of its first traceback, else its last line."""
    lines = [_LOG_PREFIX.sub("", line) for line in _lines(log)]
    errors = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception")) and ": " in line]
    return (errors or lines or ["nothing was logged"])[0 if errors else -1][:300]


def _lines(log: Path) -> list[str]:
    text = log.read_bytes()[-200_000:].decode(errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]
