"""What a server needs of this machine: a port and memory."""

import random
import re
import socket
from pathlib import Path

from skinr1.errors import UserError

# Below those that Linux gives to outgoing connections: one of those may be taken again before the server listens, which
# takes vLLM most of a minute.
PORTS = range(20_000, 32_768)
TRIES = 100


def free_port(host: str) -> int:
    """A port nobody listens on at this moment, by chance. Raises UserError when none is found."""
    drawn = random.SystemRandom().sample(PORTS, min(TRIES, len(PORTS)))
    for port in drawn:
        if _taken(host, port) is None:
            return port
    where = f"{host}, {PORTS.start} to {PORTS.stop - 1}"
    raise UserError(f"no free port found in {len(drawn)} tries", where, "Give --port.")


def check_port(host: str, port: int) -> None:
    """Raises UserError when the port cannot be listened on."""
    if reason := _taken(host, port):
        advice = "Stop the other server, or give --port 0 for a free one."
        raise UserError(f"port cannot be used ({reason})", f"{host}:{port}", advice)


def _taken(host: str, port: int) -> str | None:
    """Why a port cannot be listened on; None where it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror
    return None


def check_memory(model: Path, cache_gib: int) -> None:
    """Raises UserError when the weights in a folder and a cache in main memory are larger than what is free."""
    weights = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    needed, free = weights + cache_gib * 2**30, _free_memory()
    if free is not None and needed > free:
        told = f"weights and cache need {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
        raise UserError("too little memory", told, "Lower cpu_kvcache_gib, or end other programs.")


def _free_memory() -> int | None:
    """Bytes the kernel could give; None where it does not say."""
    path = Path("/proc/meminfo")
    found = re.search(r"^MemAvailable:\s+(\d+) kB", path.read_text() if path.is_file() else "", re.MULTILINE)
    return int(found[1]) * 1024 if found else None
