"""vLLM's life under the supervisor, with a small server of our own in its place, and `skinr1 serve` around it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from skinr1.errors import UserError
from skinr1.serving import process, supervisor
from skinr1.serving.process import ServeConfig
from tests.skinr1.gateway_rig import listening, until
from tests.skinr1.test_serving_process import write_adapter, write_model

# In vLLM's place: well at once, serves a model, and knows its --port.
STAND_IN = """
import sys, json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def answer(self, content):
        data = json.dumps(content).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(data))); self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.answer({"data": [{"id": "base"}]})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"message": {"content": "x"}, "finish_reason": "stop"}
        self.answer({"tokens": [1], "choices": [message]})
    def log_message(self, *_): pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServeConfig:
    monkeypatch.setattr(process, "SERVER", (sys.executable, "-c", STAND_IN))
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.05)
    return ServeConfig(model=str(write_model(tmp_path / "base")), log=tmp_path / "log")


async def well(server: process.Server) -> bool:
    return await asyncio.to_thread(process.answers, server)


def test_what_dies_is_started_again_and_ended_with_us(config: ServeConfig) -> None:
    async def run() -> list[int]:
        keeping = supervisor.Supervisor(config, "key", lambda line: None)
        work = asyncio.create_task(keeping.run())
        await asyncio.wait_for(keeping.sound.wait(), 120)
        pids = []
        for _ in range(2):
            assert keeping.server is not None
            pids.append(keeping.server.process.pid)
            os.kill(pids[-1], signal.SIGKILL)
            deadline = time.monotonic() + 120
            while keeping.server.process.pid == pids[-1] or not await asyncio.to_thread(
                process.answers, keeping.server
            ):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        pids.append(keeping.server.process.pid)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return pids

    pids = asyncio.run(run())
    assert len(set(pids)) == 3
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_first_start_that_fails_is_told(config: ServeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "print('ValueError: no such weights'); raise SystemExit(1)"
    monkeypatch.setattr(process, "SERVER", (sys.executable, "-c", script))
    with pytest.raises(UserError, match="no such weights"):
        asyncio.run(supervisor.Supervisor(config, "key", lambda line: None).run())
    monkeypatch.setattr(process, "SERVER", (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(UserError, match="memory runs out"):
        asyncio.run(supervisor.Supervisor(config, "key", lambda line: None).run())


@pytest.mark.parametrize("changes", [True, False])
def test_an_adapter_must_change_a_logit(tmp_path: Path, changes: bool) -> None:
    async def chat(request: Request) -> JSONResponse:
        assert request.headers["authorization"] == "Bearer key"
        shift = 0.01 if changes and (await request.json())["model"] == "sft" else 0.0
        top = [{"token": "a", "logprob": -0.5 + shift}, {"token": "b", "logprob": -1.0}]
        return JSONResponse({"choices": [{"logprobs": {"content": [{"top_logprobs": top}]}}]})

    adapter = write_adapter(tmp_path / "sft", 8)
    config = ServeConfig(model=str(write_model(tmp_path / "base")), adapters={"sft": str(adapter)})
    with listening(Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])) as url:
        checking = supervisor.check_adapters(f"{url}/v1", config, "key")
        if changes:
            asyncio.run(checking)
        else:
            with pytest.raises(UserError, match="adapter sft changes no logit"):
                asyncio.run(checking)


def test_a_cache_beyond_the_memory_is_refused(config: ServeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "on_cpu", lambda: True)
    config.cpu_kvcache_gib = 10**6
    with pytest.raises(UserError, match="too little memory"):
        process.launch(config)


def test_weights_have_a_hash(tmp_path: Path) -> None:
    base, adapter = write_model(tmp_path / "base"), write_adapter(tmp_path / "a", 8)
    (base / "model.safetensors").write_bytes(b"1")
    config = ServeConfig(model=str(base), name="base", adapters={"a": str(adapter)})
    before = supervisor.model_hashes(config)
    assert before["a"].startswith(before["base"])
    (base / "model.safetensors").write_bytes(b"2")
    assert supervisor.model_hashes(config)["base"] != before["base"]


# `skinr1 serve` as a process, with the stand-in for vLLM
SERVE = """
import sys
from skinr1.serving import process
process.SERVER = (sys.executable, "-c", sys.argv[1])
sys.argv = ["skinr1", "serve", *sys.argv[2:]]
from skinr1.cli import main
main()
"""


def serve(tmp_path: Path, *flags: str) -> subprocess.Popen[str]:
    model = tmp_path / "base"
    if not model.exists():
        write_model(model)
    common = ["--model", str(model), "--jobs", str(tmp_path / "jobs"), "--log", str(tmp_path / "log")]
    command = [sys.executable, "-c", SERVE, STAND_IN, *common, *flags]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()})


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_serve_starts_drains_and_leaves_nothing(tmp_path: Path) -> None:
    port = process.free_port("127.0.0.1")
    running = serve(tmp_path, "--port", str(port))
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/ready"))
        children = psutil.Process(running.pid).children(recursive=True)
        assert children
        running.send_signal(signal.SIGTERM)
        _, told = running.communicate(timeout=120)
        assert running.returncode == 0
        assert "drained" in told
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    finally:
        running.kill()


@pytest.mark.slow
def test_a_bad_start_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        starts = {
            "port cannot be used": serve(tmp_path, "--port", port),
            "adapter not found": serve(tmp_path, "--port", "0", "--adapters", "a=nowhere"),
            "no API keys": serve(tmp_path, "--port", "0", "--host", "0.0.0.0"),
            "file of API keys not found": serve(tmp_path, "--port", "0", "--keys", "nowhere"),
        }
        for expected, running in starts.items():
            _, told = running.communicate(timeout=120)
            assert running.returncode == 2
            assert expected in told
            assert len([line for line in told.splitlines() if line.startswith("error: ")]) == 1
            assert "Traceback" not in told
