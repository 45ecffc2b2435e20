"""An OpenAI-compatible server for tests: real HTTP on a local port, answers by a function, faults by a script."""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


def completion(text: str | None, finish: str = "stop", usage: dict[str, int] | None = None) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}], "usage": usage}


def error(status: int, message: str = "busy", **headers: str) -> Reply:
    return (
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps({"error": {"message": message}}).encode(),
    )


BROKEN_JSON: Reply = (200, {}, b'{"choices": [{"message": {"con')
A_PAGE: Reply = (200, {}, b"<html>gateway</html>")
SILENCE = "silence"  # longer than any test waits
HANG_UP = "hang up"


class FakeModel:
    """Counts every request; ``asked`` holds those that were sent, ``answered`` those whose answer left whole.

    Args:
        answer: request body -> text, or a whole completion.
        faults: what happens to the first requests of each body, in order, before it is answered.
        only: bodies that the faults are for; all by default.
        delay: seconds before each answer.
        names: models that it says it serves.
    """

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], str | dict[str, Any]],
        faults: Sequence[Reply | str] = (),
        only: Callable[[dict[str, Any]], bool] = lambda body: True,
        delay: float = 0.0,
        names: Sequence[str] = ("model",),
    ):
        self.answer, self.faults, self.only, self.delay, self.names = answer, list(faults), only, delay, names
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.running = self.most = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    def _begin(self, raw: bytes, headers: dict[str, str]) -> tuple[str, dict[str, Any], Reply | str | None]:
        body = json.loads(raw)
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self._lock:
            before = self.asked[key]
            self.asked[key] += 1
            self.bodies.append(body)
            self.headers.append(headers)
            self.running += 1
            self.most = max(self.most, self.running)
        fault = self.faults[before] if before < len(self.faults) and self.only(body) else None
        return key, body, fault

    def reply(self, raw: bytes, headers: dict[str, str]) -> tuple[str, Reply | None]:
        """Hash of the request, and what to send; None hangs up."""
        key, body, fault = self._begin(raw, headers)
        try:
            time.sleep(self.delay)
            if fault == SILENCE:
                self.stopping.wait(20)
            if isinstance(fault, str):
                return key, None
            if fault is not None:
                return key, fault
            said = self.answer(body)
            usage = {"prompt_tokens": 10, "completion_tokens": 5}
            whole = said if isinstance(said, dict) else completion(said, usage=usage)
            return key, (200, {}, json.dumps(whole).encode())
        finally:
            with self._lock:
                self.running -= 1

    def done(self, key: str) -> None:
        with self._lock:
            self.answered[key] += 1

    @property
    def calls(self) -> int:
        return self.asked.total()


@contextmanager
def served(model: FakeModel) -> Iterator[str]:
    """Serves the model; yields the base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # /v1/models
            self._send((200, {}, json.dumps({"data": [{"id": name} for name in model.names]}).encode()))

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            raw = self.rfile.read(length)
            if len(raw) < length:  # the client was killed while it sent
                self.close_connection = True
                return
            if self.path == "/tokenize":  # vLLM's
                self._send((200, {}, json.dumps({"tokens": [len(json.loads(raw)["prompt"])]}).encode()))
                return
            if self.path != "/v1/chat/completions":
                self._send(error(404, f"no such path: {self.path}"))
                return
            key, reply = model.reply(raw, dict(self.headers))
            if reply is None:
                self.close_connection = True
                return
            try:
                self._send(reply)
            except OSError:  # the client was killed or gave up
                return
            if reply not in model.faults:
                model.done(key)

        def _send(self, reply: Reply) -> None:
            status, headers, content = reply
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        model.stopping.set()
        server.shutdown()
        server.server_close()
