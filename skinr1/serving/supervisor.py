"""Keeping vLLM running behind the gateway: its start, its death, its next start."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from skinr1 import prompts
from skinr1.errors import UserError
from skinr1.serving import process
from skinr1.serving.process import ServeConfig, Server
from skinr1.serving.vllm_log import last_line
from skinr1.stage import file_hash

LOG = logging.getLogger("skinr1.supervisor")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
STEADY_SECONDS = 300.0  # after so long a life the next start does not wait longer than the first
POLL_SECONDS = 0.2
SAY_SECONDS = 5.0
SMALLEST_CHANGE = 1e-5
TOP = 5


class Supervisor:
    """One vLLM on a private port of this machine, started again whenever it dies.

    Args:
        config: what is served; the port is chosen here and stays the same over restarts.
        key: the API key that vLLM asks for.
        say: is told what is waited for, every few seconds.
    """

    def __init__(self, config: ServeConfig, key: str, say: Callable[[str], None]):
        host = "127.0.0.1"
        self.config = replace(config, host=host, port=process.free_port(host))
        self.key, self.say = key, say
        self.server: Server | None = None
        self.sound = asyncio.Event()  # the first start is over and its adapters are checked
        self.url = f"http://{host}:{self.config.port}/v1"

    async def run(self) -> None:
        """Works until cancelled, and ends vLLM then.

        Raises:
            UserError: the first start fails, or an adapter changes nothing.
        """
        pause, first = FIRST_PAUSE, True
        try:
            while True:
                born = time.monotonic()
                try:
                    self.server = process.launch(self.config, self.key)
                    await self._wait(self.server)
                    if first:
                        await check_adapters(self.url, self.config, self.key)
                        self.sound.set()
                    first = False
                    await self._death(self.server)
                    LOG.warning("vLLM died: %s", process.cause(self.server))
                except UserError as error:
                    if first:
                        raise
                    LOG.warning("%s", error)
                await self._end()
                pause = FIRST_PAUSE if time.monotonic() - born > STEADY_SECONDS else min(LONGEST_PAUSE, pause * 2)
                LOG.warning("vLLM starts again in %.0f s", pause)
                await asyncio.sleep(pause)
        finally:
            await asyncio.shield(self._end())

    async def _wait(self, server: Server) -> None:
        started, told = time.monotonic(), 0.0
        while not await asyncio.to_thread(process.answers, server):
            elapsed = process.check_start(server, started, self.config.start_seconds)
            if elapsed >= told:
                self.say(f"waiting for vLLM, {elapsed:.0f} s: {last_line(server.log)[:90]}")
                told = elapsed + SAY_SECONDS
            await asyncio.sleep(0.5)

    async def _death(self, server: Server) -> None:
        while not process.ended(server.process):
            await asyncio.sleep(POLL_SECONDS)

    async def _end(self) -> None:
        if self.server is not None:
            await asyncio.to_thread(process.stop, self.server.process)


async def check_adapters(url: str, config: ServeConfig, key: str | None) -> None:
    """Has the base and every adapter judge one prompt: an adapter whose keys match nothing loads without complaint.

    Raises:
        UserError: an adapter gives the very probabilities of the base.
    """
    names = list(config.adapter_folders)
    if not names:
        return
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(timeout=120, trust_env=False, headers=headers) as client:
        base = await _first_token(client, url, config.served_name)
        for name in names:
            changed = await _first_token(client, url, name)
            if base.keys() == changed.keys() and all(abs(base[t] - changed[t]) < SMALLEST_CHANGE for t in base):
                folder = str(config.adapter_folders[name])
                advice = "Was it trained on this base? Its keys may match no layer; merge it with skinr1 merge."
                raise UserError(f"adapter {name} changes no logit", folder, advice)


async def _first_token(client: httpx.AsyncClient, url: str, model: str) -> dict[str, float]:
    """Log-probabilities of the most probable first tokens of an answer."""
    body: dict[str, Any] = {
        "model": model,
        "messages": prompts.messages(prompts.REPORT_QUESTION, 0),
        "max_tokens": 1,
        "temperature": 0.0,
        "logprobs": True,
        "top_logprobs": TOP,
    }
    response = await client.post(f"{url}/chat/completions", json=body)
    if response.status_code != 200:
        told = f"{model} does not answer ({response.status_code})"
        raise UserError(told, url, "Does it answer a request without an image? Read vLLM's log.")
    content = response.json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    return {entry["token"]: entry["logprob"] for entry in content}


def weights_hash(folder: Path) -> str:
    """Identity of a folder's weights: the hash over the hashes of its safetensors files, in order of name."""
    files = sorted(folder.glob("*.safetensors"))
    joined = "\n".join(f"{path.name} {file_hash(path)}" for path in files)
    return hashlib.sha256(joined.encode()).hexdigest()[:16] if files else "unknown"


def model_hashes(config: ServeConfig) -> Mapping[str, str]:
    """Served name -> hash of its weights; an adapter's holds its base's, too."""
    base = weights_hash(Path(config.model))
    return {config.served_name: base} | {
        name: f"{base}+{weights_hash(folder)}" for name, folder in config.adapter_folders.items()
    }
