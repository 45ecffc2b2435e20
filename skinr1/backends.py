"""Who answers: an OpenAI-compatible server, or a model in this process. Either fills the same journal."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skinr1.errors import UserError
from skinr1.predictions import Asker, Asks, Journal, Q, ask_all, ask_in_batches
from skinr1.progress import Watch
from skinr1.serving.client import AsyncClient, Completion
from skinr1.stage import file_hash
from skinr1.weights import check_safetensors

Done = Callable[[bool], None]


@dataclass(frozen=True)
class Backend:
    """One model, ready to be asked.

    Attributes:
        asker: how requests are made, image tokens barred where they are to be.
    """

    asker: Asker
    _ask: Callable[[Any, Sequence[Any], Done], Awaitable[dict[str, Completion]]]

    async def ask(self, asks: Asks[Q], questions: Sequence[Q], done: Done) -> dict[str, Completion]:
        """Case id -> answer; ``done`` as in :func:`skinr1.predictions.ask_all`, which see for what it raises."""
        return await self._ask(asks, questions, done)


@asynccontextmanager
async def server(
    url: str, asker: Asker, journal: Journal, concurrency: int, ban_image_tokens: bool, key: str | None
) -> AsyncIterator[Backend]:
    """A server. Raises UserError when it does not serve the model."""
    async with AsyncClient(url, concurrency, key=key) as client:
        await client.check_model(asker.model)
        banned = await client.image_tokens(asker.model) if ban_image_tokens else ()

        async def ask(asks: Asks[Q], questions: Sequence[Q], done: Done) -> dict[str, Completion]:
            return await ask_all(asks, questions, client, journal, concurrency, done)

        yield Backend(_barring(asker, banned), ask)


@asynccontextmanager
async def in_process(
    weights: Path, dtype: str, asker: Asker, journal: Journal, batch: int, ban_image_tokens: bool
) -> AsyncIterator[Backend]:
    """A model of transformers'. Raises UserError for sampling that it cannot do: it is greedy and forces nothing."""
    if asker.sampling.structured or asker.sampling.temperature:
        raise UserError("transformers answer greedily and unforced", "--structured, --temperature", "Leave them out.")
    from skinr1.in_process import LocalModel  # here, because torch takes seconds

    model = LocalModel(weights, dtype)

    async def ask(asks: Asks[Q], questions: Sequence[Q], done: Done) -> dict[str, Completion]:
        return ask_in_batches(asks, questions, model.complete, journal, batch, done)

    yield Backend(_barring(asker, model.image_tokens if ban_image_tokens else ()), ask)


def _barring(asker: Asker, tokens: tuple[int, ...]) -> Asker:
    return replace(asker, sampling=replace(asker.sampling, banned=tokens))


def weights_identity(weights: Path, watch: Watch) -> str:
    """Hash of all that decides what a model folder answers, its base's files too where it is an adapter."""
    from skinr1 import vlm

    base = vlm.base_of(Path(vlm.existing(weights)))
    files = [path for folder in dict.fromkeys((weights, Path(base))) for path in _files(folder)]
    check_safetensors(weights)
    hashes = [f"{path.name} {file_hash(path)}" for path in watch(files, description="hash weights")]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.glob("*") if path.suffix in (".safetensors", ".json", ".jinja", ".txt"))


def endpoint_identity(url: str) -> str:
    """Of a third party's endpoint, whose weights nobody sees: a hash of its address, so that a cache names no host."""
    return hashlib.sha256(url.rstrip("/").encode()).hexdigest()
