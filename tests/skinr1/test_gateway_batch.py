"""Batch jobs and the client library: nothing lost, nothing twice, whatever dies."""

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import httpx
import pytest
from starlette.responses import JSONResponse

from skinr1 import client
from skinr1.errors import UserError
from skinr1.serving.envelope import ReportEnvelope
from skinr1.serving.gateway import batch, journal
from skinr1.serving.gateway.keys import add_key
from skinr1.serving.process import free_port
from tests.skinr1.gateway_rig import EXPECTED, FakeVllm, as_json, gateway, listening, photo, until
from tests.skinr1.sample_report import REPORT, TREE_YAML

# A gateway as a process of its own, so that it can be killed.
GATEWAY = """
import sys, uvicorn
from pathlib import Path
from skinr1.taxonomy import Taxonomy
from skinr1.serving.gateway.app import create_app
from skinr1.serving.gateway.settings import GatewaySettings
tree = Taxonomy.load(Path(sys.argv[3]))
app = create_app(GatewaySettings(jobs=Path(sys.argv[2]), batch_concurrency=2), [sys.argv[1]], tree)
uvicorn.run(app, port=int(sys.argv[4]), log_level="warning")
"""


def cases(count: int) -> dict[str, list[dict[str, object]]]:
    return {"cases": [{"id": f"case-{n}", "request": as_json(photo(), age=n)} for n in range(count)]}


def finished(url: str, job: str) -> bool:
    return httpx.get(f"{url}/v1/reports/batch/{job}").json()["state"] == "done"


def test_a_job_from_start_to_removal(tmp_path: Path) -> None:
    fake = FakeVllm()
    with gateway(fake, tmp_path) as url:
        asked = cases(5)
        asked["cases"][2]["request"] = as_json(b"no image")  # fails alone
        created = httpx.post(f"{url}/v1/reports/batch", json=asked)
        assert created.status_code == 202
        job = created.json()["job"]
        assert httpx.post(f"{url}/v1/reports/batch", json=asked).json()["job"] == job  # sent again: the same job
        until(lambda: finished(url, job))
        state = httpx.get(f"{url}/v1/reports/batch/{job}").json()
        assert (state["cases"], state["finished"], state["failed"]) == (5, 5, 1)
        first = httpx.get(f"{url}/v1/reports/batch/{job}/results?limit=2").json()
        rest = httpx.get(f"{url}/v1/reports/batch/{job}/results?after={first['next']}").json()
        rows = first["results"] + rest["results"]
        assert sorted(row["id"] for row in rows) == [f"case-{n}" for n in range(5)]
        assert [row["id"] for row in rows if "error" in row] == ["case-2"]
        assert len(fake.bodies) == 4
        kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert b"iVBORw0KGgo" not in kept  # the images went with the last case
        assert httpx.delete(f"{url}/v1/reports/batch/{job}").status_code == 204
        assert httpx.get(f"{url}/v1/reports/batch/{job}").status_code == 404
        assert not any((tmp_path / "jobs").glob("*/*"))


def test_what_waits_on_the_disk_is_clean(tmp_path: Path) -> None:
    fake = FakeVllm(gap=30)
    image = photo("JPEG", comment=b"Jane Doe")
    with gateway(fake, tmp_path) as url:
        body = {"cases": [{"id": "a", "request": as_json(image)}]}
        job = httpx.post(f"{url}/v1/reports/batch", json=body).json()["job"]
        row = json.loads((tmp_path / "jobs" / job / journal.CASES).read_text())
        assert row["request"]["images"][0]["data"].startswith("iVBORw0KGgo")  # a PNG of the pixels
        assert (tmp_path / "jobs").stat().st_mode & 0o077 == 0
        until(lambda: fake.running == 1)
        httpx.delete(f"{url}/v1/reports/batch/{job}")


def test_a_job_is_its_maker_s(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    mine, theirs = ({"Authorization": f"Bearer {add_key(path, name)}"} for name in ("mine", "theirs"))
    with gateway(FakeVllm(), tmp_path, keys=path) as url:
        job = httpx.post(f"{url}/v1/reports/batch", json=cases(1), headers=mine).json()["job"]
        assert httpx.get(f"{url}/v1/reports/batch/{job}", headers=mine).status_code == 200
        for path_ in ("", "/results"):
            assert httpx.get(f"{url}/v1/reports/batch/{job}{path_}", headers=theirs).status_code == 404
        assert httpx.delete(f"{url}/v1/reports/batch/{job}", headers=theirs).status_code == 404


def test_a_job_waits_for_vllm_to_come_back(tmp_path: Path) -> None:
    fake = FakeVllm()
    with gateway(fake, tmp_path) as url:
        fake.healthy, fake.fault = False, JSONResponse({"error": {"message": "EngineCore died"}}, 500)
        job = httpx.post(f"{url}/v1/reports/batch", json=cases(6)).json()["job"]
        until(lambda: httpx.get(f"{url}/ready").status_code == 503)
        assert httpx.get(f"{url}/v1/reports/batch/{job}").json()["finished"] == 0
        fake.healthy, fake.fault = True, None
        until(lambda: finished(url, job))
        rows = httpx.get(f"{url}/v1/reports/batch/{job}/results").json()["results"]
    assert Counter(row["id"] for row in rows) == Counter(f"case-{n}" for n in range(6))
    assert all(row["envelope"]["report"]["diagnosis"] == REPORT.diagnosis for row in rows)


@pytest.mark.slow
def test_kill_of_the_gateway_loses_and_doubles_nothing(tmp_path: Path) -> None:
    fake = FakeVllm(gap=0.15)
    (tmp_path / "tree.yaml").write_text(TREE_YAML)
    port = free_port("127.0.0.1")
    with listening(fake.app()) as upstream:
        command = [sys.executable, "-c", GATEWAY, f"{upstream}/v1", str(tmp_path / "jobs"), str(tmp_path / "tree.yaml")]
        url = f"http://127.0.0.1:{port}"
        job = ""
        for round_ in range(3):
            running = subprocess.Popen([*command, str(port)], env={**os.environ, "PYTHONPATH": os.getcwd()})
            try:
                until(lambda: answers(url))
                if round_ == 0:
                    job = httpx.post(f"{url}/v1/reports/batch", json=cases(12)).json()["job"]
                if round_ == 2:
                    until(partial(finished, url, job))
                    rows = httpx.get(f"{url}/v1/reports/batch/{job}/results").json()["results"]
                else:
                    time.sleep(0.6)  # some are done, some under way
            finally:
                running.send_signal(signal.SIGKILL)
                running.wait()
    assert Counter(row["id"] for row in rows) == Counter(f"case-{n}" for n in range(12))
    assert all("envelope" in row for row in rows)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_a_line_cut_by_a_kill_is_asked_anew(tmp_path: Path) -> None:
    asked = client.request([photo()])
    job = journal.create(tmp_path, "me", "j", [("a", asked), ("b", asked)])
    job.add({"id": "a", "envelope": {}})
    with open(tmp_path / "j" / journal.RESULTS, "ab") as handle:
        handle.write(b'{"id": "b", "env')
    (tmp_path / ".k.partial").mkdir()
    [again] = journal.load(tmp_path)
    assert [name for name, _ in again.remaining()] == ["b"]
    again.add({"id": "b", "envelope": {}})
    assert [row["id"] for row in journal.load(tmp_path)[0].results(0, 9)] == ["a", "b"]
    assert not (tmp_path / ".k.partial").exists()
    assert journal.expired(again, 0)
    assert not journal.expired(again, 1)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with gateway(FakeVllm(), tmp_path) as url:
        with monkeypatch.context() as patch:
            patch.setattr(journal, "create", full)
            response = httpx.post(f"{url}/v1/reports/batch", json=cases(1))
            assert (response.status_code, response.json()["error"]["code"]) == (503, "disk")
        writing = journal.Job.add
        with monkeypatch.context() as patch:
            patch.setattr(journal.Job, "add", full)
            patch.setattr(batch, "LONGEST_PAUSE", 0.1)
            job = httpx.post(f"{url}/v1/reports/batch", json=cases(1)).json()["job"]
            time.sleep(0.5)
            assert not finished(url, job)
            patch.setattr(journal.Job, "add", writing)
            until(lambda: finished(url, job))


def test_two_gateways_do_not_share_jobs(tmp_path: Path) -> None:
    with journal.locked(tmp_path), pytest.raises(UserError, match="another gateway"), journal.locked(tmp_path):
        pass


# the client library


def test_client_reports_and_batches(tmp_path: Path) -> None:
    (tmp_path / "lesion.png").write_bytes(photo())
    with gateway(FakeVllm(), tmp_path) as url, client.Client(url) as asking:
        envelope = asking.report([tmp_path / "lesion.png"], age=61, site="back", symptoms=["bleeding"])
        assert envelope.report == EXPECTED
        asked = {"good": client.request([photo()]), "bad": client.request([b"none"])}
        outcomes = dict(asking.batch(asked))
        assert isinstance(outcomes["bad"], UserError)
        assert isinstance(outcomes["good"], ReportEnvelope)

        async def others() -> tuple[ReportEnvelope, list[str | ReportEnvelope], dict[str, client.Outcome]]:
            async with client.AsyncClient(url) as slow:
                pieces = [piece async for piece in slow.stream([photo()])]
                return await slow.report([photo()]), pieces, {name: got async for name, got in slow.batch(asked)}

        envelope, pieces, again = asyncio.run(others())
        assert envelope.report == EXPECTED
        assert pieces[-1] == envelope
        assert "".join(str(piece) for piece in pieces[:-1]) == envelope.reasoning
        assert again.keys() == outcomes.keys()


def test_client_tries_again_and_gives_up() -> None:
    seen: list[int] = []
    good = httpx.Response(202, json={"job": "x"})
    script = [httpx.Response(429, headers={"retry-after": "0"}), httpx.ConnectError("no"), httpx.Response(503), good]

    def answer(request: httpx.Request) -> httpx.Response:
        step = script[len(seen)]
        seen.append(1)
        if isinstance(step, Exception):
            raise step
        return step

    with client.Client("http://x/v1", pause=0, transport=httpx.MockTransport(answer)) as asking:
        assert asking._send("POST", "/v1/reports/batch").json() == {"job": "x"}
    seen.clear()
    with (
        client.Client("http://x", pause=0, attempts=2, transport=httpx.MockTransport(answer)) as asking,
        pytest.raises(UserError, match="2 times"),
    ):
        asking.report([b"x"])
    with pytest.raises(UserError, match="image not found"):
        client.request(["/nowhere.png"])
    with pytest.raises(UserError, match="request is wrong"):
        client.request([b"x"], age=500)


def test_jobs_are_split_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BATCH_BYTES", 100)
    asked = {str(n): client.request([b"x" * 40]) for n in range(5)}
    assert [len(body["cases"]) for body in client._batches(asked)] == [2, 2, 1]
