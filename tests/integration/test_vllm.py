"""A real vLLM process with untrained weights: every structured answer is a valid report."""

import asyncio
import contextlib
import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import psutil
import pytest
from PIL import Image

from skinr1 import client, prompts
from skinr1.answer_forms import Form, read_answer
from skinr1.concepts import concepts
from skinr1.errors import UserError
from skinr1.form_schemas import form_tag
from skinr1.images import png_bytes
from skinr1.report import InvalidAnswer, parse
from skinr1.serving import parity
from skinr1.serving.client import AsyncClient, Completion, Sampling, request_body
from skinr1.serving.envelope import ReportEnvelope
from skinr1.serving.process import ServeConfig, free_port, start
from skinr1.taxonomy import Taxonomy
from tests.skinr1.gateway_rig import ANY, until

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


@dataclass
class Served:
    """``skinr1 serve`` as a user starts it: the gateway, and vLLM behind it."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def vllm(self) -> psutil.Process:
        """The server that answers, of which there is one."""
        [child] = [p for p in psutil.Process(self.process.pid).children() if "vllm" in " ".join(p.cmdline())]
        return child

    def metric(self, name: str) -> float:
        """Sum of a metric of vLLM's."""
        lines = httpx.get(f"{self.url}/metrics", timeout=60).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    port = free_port("127.0.0.1")
    flags = {"model": model, "name": "untrained", "port": port, "dtype": "float32", "enforce_eager": "true"}
    flags |= {"log": folder / "vllm.log", "jobs": folder / "jobs", "answer_tokens": LONGEST, "quality": json.dumps(ANY)}
    command = [sys.executable, "-m", "skinr1", "serve", *(str(p) for k, v in flags.items() for p in (f"--{k}", v))]
    with open(folder / "gateway.log", "wb") as log:
        running = subprocess.Popen(command, stderr=log)
    served = Served(f"http://127.0.0.1:{port}", running, folder / "vllm.log")
    try:
        wait_ready(served)
        yield served
        group = served.vllm().pid
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0, (folder / "gateway.log").read_text()
    finally:
        running.kill()
    assert living(group) == []


def wait_ready(served: Served, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while status(f"{served.url}/ready") != 200:
        assert served.process.poll() is None, "skinr1 serve ended"
        assert time.monotonic() < deadline, "not ready"
        time.sleep(0.3)


def status(url: str) -> int:
    """Status of an answer; 0 when nobody answers."""
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TransportError:
        return 0


def living(group: int) -> list[str]:
    """Names of the processes of a group; a zombie that nobody reaps is dead."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name, _, rest = stat.read_text().rpartition(")")
            state, _, owner = rest.split()[:3]
            found += [name] if int(owner) == group and state != "Z" else []
    return found


def ask(
    server: Served, sampling: Sampling, count: int, response_format: dict[str, Any] | None = None
) -> list[Completion]:
    rng = np.random.default_rng(0)
    images = [png_bytes(Image.fromarray(rng.integers(0, 255, (150, 190, 3), dtype=np.uint8))) for _ in range(count)]
    messages = prompts.messages(prompts.REPORT_QUESTION, 1)

    async def run() -> list[Completion]:
        async with AsyncClient(f"{server.url}/v1") as client:
            await client.check_model("untrained")
            assert len(await client.image_tokens("untrained")) == 4
            drawn = [replace(sampling, seed=number) for number in range(count)]  # one seed would give one text
            asked = zip(images, drawn, strict=True)
            how = (TAXONOMY, response_format)
            bodies = [request_body("untrained", messages, [image], own, *how) for image, own in asked]
            return list(await asyncio.gather(*map(client.complete, bodies)))

    return asyncio.run(run())


def test_every_structured_answer_is_a_valid_report(server: Served) -> None:
    answers = ask(server, Sampling(structured=True, max_tokens=LONGEST, temperature=1.0), REQUESTS)
    assert {answer.finish_reason for answer in answers} == {"stop"}
    for answer in answers:
        parse(answer.text, TAXONOMY)
    assert len({answer.text for answer in answers}) > REQUESTS // 2


@pytest.mark.parametrize("form", ["choice", "condition", "differential", "signs", "checklist"])
def test_every_forced_answer_is_of_its_form(server: Served, form: Form) -> None:
    options = tuple((node,) for node in TAXONOMY.leaves[:4])
    sampling = Sampling(structured=True, max_tokens=LONGEST, temperature=1.0)
    answers = ask(server, sampling, 4, form_tag(form, TAXONOMY, options))
    assert {answer.finish_reason for answer in answers} == {"stop"}
    for answer in answers:
        assert read_answer(form, answer.text, TAXONOMY, options).report
        assert answer.tokens is not None and answer.tokens > 0


def test_raw_model_speaks_for_itself(server: Served) -> None:
    answers = ask(server, Sampling(structured=False, max_tokens=16), 4)
    for answer in answers:
        with pytest.raises(InvalidAnswer):
            parse(answer.text, TAXONOMY)


def picture(seed: int) -> bytes:
    return png_bytes(Image.fromarray(np.random.default_rng(seed).integers(0, 255, (150, 190, 3), dtype=np.uint8)))


def test_reports_through_the_gateway(server: Served) -> None:
    with client.Client(server.url) as asking, ThreadPoolExecutor(8) as pool:
        told = {"history": "XYZZYSECRET", "site": "back"}
        envelopes = list(pool.map(lambda seed: asking.report([picture(seed)], **told), range(8)))
    assert all(envelope.stamps.model == "untrained" for envelope in envelopes)
    assert all(len(envelope.stamps.model_hash) == 16 for envelope in envelopes)
    assert "XYZZYSECRET" not in server.log.read_text(errors="replace")


def test_official_client_streams(server: Served) -> None:
    asking = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    assert [model.id for model in asking.models.list()] == ["untrained"]
    stream = asking.chat.completions.create(
        model="untrained", messages=[{"role": "user", "content": "Hello"}], max_tokens=5, stream=True
    )
    assert len(list(stream)) >= 5


def test_text_that_announces_an_image_does_not_harm_vllm(server: Served) -> None:
    for text in ("<|image_pad|>", "<|vision_start|><|image_pad|><|vision_end|>", "<|video_pad|>"):
        body = {"model": "untrained", "messages": [{"role": "user", "content": text}], "max_tokens": 2}
        httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    assert ask(server, Sampling(structured=False, max_tokens=2), 1)


def test_streams_that_are_left_end_in_vllm(server: Served) -> None:
    body = {"images": [{"data": client.request([picture(1)]).model_dump(mode="json")["images"][0]["data"]}]}

    async def leave() -> None:
        async with httpx.AsyncClient(timeout=60) as asking:

            async def one() -> None:
                async with asking.stream("POST", f"{server.url}/v1/reports?stream=true", json=body) as response:
                    async for _ in response.aiter_raw():
                        return  # with the first piece

            await asyncio.gather(*(one() for _ in range(20)))

    asyncio.run(leave())
    waiting = ("vllm:num_requests_running", "vllm:num_requests_waiting")
    until(lambda: not any(server.metric(name) for name in waiting))


def test_transformers_and_vllm_agree(
    server: Served, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(4):
        (tmp_path / f"{seed}.png").write_bytes(picture(seed))
    arguments = ["--model", str(model), "--images", str(tmp_path), "--url", f"{server.url}/v1"]
    parity.main([*arguments, "--count", "4", "--tokens", "16"])  # exits with 1 when they differ
    assert "prompt token ids" in capsys.readouterr().out


def test_kill_of_vllm_is_503_at_once_and_loses_no_batch_job(server: Served) -> None:
    asked = {f"case-{seed}": client.request([picture(seed)]) for seed in range(8)}
    long = {"model": "untrained", "messages": [{"role": "user", "content": "Hello"}]}
    long |= {"max_tokens": 3000, "ignore_eos": True}

    def wait() -> int:
        return httpx.post(f"{server.url}/v1/chat/completions", json=long, timeout=300).status_code

    victim = server.vllm()
    with ThreadPoolExecutor(9) as pool, client.Client(server.url) as asking:
        batch = pool.submit(lambda: list(asking.batch(asked)))
        waiting = [pool.submit(wait) for _ in range(8)]
        time.sleep(0.5)
        victim.suspend()  # on a loaded machine seconds may pass before the next line: nothing ends meanwhile
        time.sleep(0.5)
        caught = [one for one in waiting if not one.done()]
        assert caught, "all were over before vLLM was killed"
        victim.kill()
        assert {one.result(300) for one in caught} == {503}
        until(lambda: status(f"{server.url}/ready") == 503)  # they did not wait for the next vLLM, which needs longer
        assert status(f"{server.url}/health") == 200
        wait_ready(server)
        rows = batch.result(300)
    assert Counter(name for name, _ in rows) == Counter(list(asked))
    assert all(isinstance(outcome, ReportEnvelope) for _, outcome in rows)


def test_death_at_start_is_one_line(model: Path, tmp_path: Path) -> None:
    config = ServeConfig(model=str(model), port=0, log=tmp_path / "vllm.log", vllm_args={"no-such-flag": 1})
    with pytest.raises(UserError, match="no-such-flag") as caught, start(config):
        pass
    assert "\n" not in str(caught.value)
