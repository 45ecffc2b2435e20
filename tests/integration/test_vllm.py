"""A real vLLM process with untrained weights: every structured answer is a valid report."""

import asyncio
import contextlib
import importlib.util
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skinr1 import prompts
from skinr1.concepts import concepts
from skinr1.errors import UserError
from skinr1.images import png_bytes
from skinr1.report import InvalidAnswer, parse
from skinr1.serving.client import AsyncClient, Completion, Sampling, request_body
from skinr1.serving.process import ServeConfig, Server, start
from skinr1.taxonomy import Taxonomy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
TAXONOMY = Taxonomy.load()
REQUESTS = 24
LONGEST = 3000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from skinr1 import tiny

    folder = tmp_path_factory.mktemp("untrained")
    size = tiny.TinySize(hidden=64, intermediate=96, layers=2, heads=2, vision_hidden=64, vision_layers=2)
    tokenizer = tiny.train_tokenizer([prompts.SYSTEM, prompts.REPORT_QUESTION, *TAXONOMY.nodes, *concepts()] * 2, 1500)
    torch.manual_seed(0)
    tiny.save(tiny.build_model(tokenizer, size), tiny.build_processor(tokenizer, 112 * 112), folder)
    return folder


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Server]:
    config = ServeConfig(model=str(model), name="untrained", port=0, dtype="float32", enforce_eager=True)
    with start(config) as running:
        yield running
    assert running.process.returncode is not None
    deadline = time.monotonic() + 10
    while living(running.process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert living(running.process.pid) == []


def living(group: int) -> list[str]:
    """Names of the processes of a group; a zombie that nobody reaps is dead."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name, _, rest = stat.read_text().rpartition(")")
            state, _, owner = rest.split()[:3]
            found += [name] if int(owner) == group and state != "Z" else []
    return found


def ask(server: Server, sampling: Sampling, count: int) -> list[Completion]:
    rng = np.random.default_rng(0)
    images = [png_bytes(Image.fromarray(rng.integers(0, 255, (150, 190, 3), dtype=np.uint8))) for _ in range(count)]
    messages = prompts.messages(prompts.REPORT_QUESTION, 1)

    async def run() -> list[Completion]:
        async with AsyncClient(server.url) as client:
            await client.check_model("untrained")
            assert len(await client.image_tokens("untrained")) == 4
            drawn = [replace(sampling, seed=number) for number in range(count)]  # one seed would give one text
            asked = zip(images, drawn, strict=True)
            bodies = [request_body("untrained", messages, [image], own, TAXONOMY) for image, own in asked]
            return list(await asyncio.gather(*map(client.complete, bodies)))

    return asyncio.run(run())


def test_every_structured_answer_is_a_valid_report(server: Server) -> None:
    answers = ask(server, Sampling(structured=True, max_tokens=LONGEST, temperature=1.0), REQUESTS)
    assert {answer.finish_reason for answer in answers} == {"stop"}
    for answer in answers:
        parse(answer.text, TAXONOMY)
    assert len({answer.text for answer in answers}) > REQUESTS // 2


def test_raw_model_speaks_for_itself(server: Server) -> None:
    answers = ask(server, Sampling(structured=False, max_tokens=16), 4)
    for answer in answers:
        with pytest.raises(InvalidAnswer):
            parse(answer.text, TAXONOMY)


def test_death_at_start_is_one_line(model: Path, tmp_path: Path) -> None:
    config = ServeConfig(model=str(model), port=0, log=tmp_path / "vllm.log", vllm_args={"no-such-flag": 1})
    with pytest.raises(UserError, match="no-such-flag") as caught, start(config):
        pass
    assert "\n" not in str(caught.value)
