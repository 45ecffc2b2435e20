"""The page of a gateway with keys: what a stranger, a wrong key and the right one reach, in a browser and past it."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("gradio", reason="the page needs gradio")

from skinr1.report import DISCLAIMER
from skinr1.serving.envelope import ReportEnvelope
from skinr1.serving.gateway.keys import add_key, revoke_key
from skinr1.serving.page import layout
from skinr1.serving.page.downloads import OFFERED
from tests.skinr1.browser_rig import ask, chromium, find, open_page, requested, upload
from tests.skinr1.gateway_rig import FakeVllm, gateway, photo, until

API = "/page/gradio_api"


@dataclass
class Clinic:
    """A gateway with a page and a file of keys."""

    fake: FakeVllm
    url: str
    keys: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("clinic")
    fake, keys = FakeVllm(gap=0.001), folder / "keys.txt"
    keys.touch()
    with gateway(fake, folder, page=True, keys=keys) as url:
        yield Clinic(fake, url, keys)


@pytest.fixture
def clinic(served: Clinic) -> Clinic:
    """The same gateway, with no key and nothing asked."""
    served.keys.write_text("")
    served.fake.bodies.clear()
    return served


def job(client: httpx.Client, image: dict[str, Any], session: str = "s", field: int = 0) -> dict[str, Any]:
    """What the page's button sends, with one picture in the place of one of its fields."""
    found = client.get("/page/config").json()["dependencies"]
    [button] = [one for one in found if len(one["inputs"]) > 5]
    data: list[Any] = [None, [], "", "", "", "", "", "", "", None, 1, False, 17]
    file = {**image, "meta": {"_type": "gradio.FileData"}}
    data[1 + field] = [{"image": file, "caption": None}]
    return {"data": data, "fn_index": button["id"], "session_hash": session, "trigger_id": None, "event_data": None}


def answer(client: httpx.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Queues a job and reads its events to the last."""
    assert client.post(f"{API}/queue/join", json=body).status_code == 200
    with client.stream("GET", f"{API}/queue/data", params={"session_hash": body["session_hash"]}) as events:
        return [json.loads(line[5:]) for line in events.iter_lines() if line.startswith("data:")]


def reached(client: httpx.Client, stored: str, body: dict[str, Any]) -> dict[str, int]:
    """Status of every door of Gradio's own, by name."""
    pages = ("", "/", "/config", "/theme.css", "/assets/x.js")
    read = ("info", "startup-events", "heartbeat/s", "runs", "queue/data?session_hash=s", "call/run/1")
    read += (f"file={stored}", "proxy=http://127.0.0.1/")
    posted = ("queue/join", "run/run", "api/run", "call/run", "reset", "cancel", "component_server")
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        **{f"/page{path}": ("GET", {}) for path in pages},
        **{f"{API}/{path}": ("GET", {}) for path in read},
        **{f"{API}/{path}": ("POST", {"json": body}) for path in posted},
        f"{API}/upload": ("POST", {"files": {"files": ("a.png", photo())}}),
    }
    return {path: client.request(how, path, **what).status_code for path, (how, what) in asked.items()}


@pytest.mark.slow
def test_without_a_key_no_door_of_the_page_is_open(clinic: Clinic) -> None:
    key = add_key(clinic.keys, "clinic")
    with httpx.Client(base_url=clinic.url, auth=("any", key), timeout=60) as client:
        [stored] = client.post(f"{API}/upload", files={"files": ("a.png", photo())}).json()
        body = job(client, {"path": stored})
        assert client.get(f"{API}/file={stored}").status_code == 200
        assert answer(client, body)[-1]["msg"] == "close_stream" and len(clinic.fake.bodies) == 1
        revoke_key(clinic.keys, "clinic")
        assert set(reached(client, stored, body).values()) == {401}
    for auth in (None, ("clinic", ""), ("clinic", f"{key}x"), (key, "")):
        with httpx.Client(base_url=clinic.url, auth=auth, timeout=60) as client:
            assert set(reached(client, stored, body).values()) == {401}
    assert "Basic" in httpx.get(f"{clinic.url}/page/").headers["WWW-Authenticate"]  # a browser shows its dialogue
    assert len(clinic.fake.bodies) == 1


@pytest.mark.parametrize("field", [0, 1], ids=["images", "modality"])
@pytest.mark.parametrize(
    "path", ["https://images.example/x.png", "HTTP://127.0.0.1:9/x.png", "/etc/passwd", "private.png"]
)
def test_the_page_reads_no_address_and_no_path(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, path: str, field: int
) -> None:
    from gradio import processing_utils

    fetched: list[Any] = []

    async def fetch(*asked: Any, **_: Any) -> str:
        fetched.append(asked)
        raise ValueError("no network here")

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", fetch)
    if path == "private.png":
        (clinic.keys.parent / path).write_bytes(photo())
        path = str(clinic.keys.parent / path)
    with httpx.Client(base_url=clinic.url, auth=("any", add_key(clinic.keys, "clinic")), timeout=60) as client:
        body = job(client, {"path": path, "url": path}, field=field)
        joined = client.post(f"{API}/queue/join", json=body)
        if joined.status_code == 200:
            told = answer(client, {**body, "session_hash": "t"})
            assert [event["success"] for event in told if event["msg"] == "process_completed"] == [False]
        assert client.get(f"{API}/file={path}").status_code in (400, 403, 404)
        assert client.get(f"{API}/proxy={path}").status_code >= 400
    assert fetched == [] and clinic.fake.bodies == []


@pytest.mark.parametrize("door", ["process_recording", "component_server", "run/run", "call/run", "upload/"])
def test_what_the_page_does_not_use_is_closed(clinic: Clinic, door: str) -> None:
    with httpx.Client(base_url=clinic.url, auth=("any", add_key(clinic.keys, "clinic")), timeout=60) as client:
        file = {"files": ("Jane Doe.mp4", b"no picture")}
        assert client.post(f"{API}/{door}", files=file).status_code == 404


@pytest.mark.parametrize("depth", [40, 500_000])
def test_deeply_nested_json_is_refused(clinic: Clinic, depth: int) -> None:
    body = f'{{"data":{"[" * depth}{"]" * depth},"fn_index":0,"session_hash":"s"}}'
    with httpx.Client(base_url=clinic.url, auth=("any", add_key(clinic.keys, "clinic")), timeout=60) as client:
        asked = client.post(f"{API}/queue/join", content=body, headers={"Content-Type": "application/json"})
    assert (asked.status_code, asked.json()["error"]["code"]) == (400, "json_depth")


def test_the_queue_of_the_page_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AT_ONCE", "WAITING"):
        monkeypatch.setattr(layout, name, 1)
    fake = FakeVllm(gap=0.5)
    with gateway(fake, tmp_path, page=True) as url, httpx.Client(base_url=url, timeout=60) as client:
        [stored] = client.post(f"{API}/upload", files={"files": ("a.png", photo())}).json()
        told = []
        for number in range(6):
            said = client.post(f"{API}/queue/join", json=job(client, {"path": stored}, f"s{number}"))
            told.append((said.status_code, "Retry-After" in said.headers))
    assert told[0] == (200, False) and told[-1] == (503, True) and len(set(told)) == 2


def downloaded(browser: Any, folder: Path) -> dict[str, str]:
    """Contents by suffix of what the links of the page give, each clicked."""
    folder.mkdir()
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    for link in browser.find_elements("css selector", "#downloads a[download]"):
        browser.execute_script("arguments[0].click()", link)
    names = {suffix: folder / f"skin-report.{suffix}" for _, suffix in OFFERED.values()}
    until(lambda: all(path.exists() for path in names.values()))
    return {suffix: path.read_text(encoding="utf-8") for suffix, path in names.items()}


@pytest.mark.slow
def test_browser_with_a_wrong_the_right_and_a_revoked_key(
    clinic: Clinic, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = add_key(clinic.keys, "clinic")
    page = f"{clinic.url}/page"

    def enter(password: str) -> None:
        """As the browser's own dialogue does: from then on it sends the password by itself."""
        browser.get(f"{page.replace('://', f'://clinic:{password}@')}/config")

    with caplog.at_level(logging.DEBUG), chromium(tmp_path / "profile") as browser:
        browser.get(f"{page}/")
        assert not browser.find_elements("css selector", "#ask")
        enter(f"{key}x")
        assert "dependencies" not in browser.page_source  # blank behind the dialogue, which asks again
        enter(key)
        assert "dependencies" in browser.page_source
        requested(browser)
        open_page(browser, page)
        upload(browser, tmp_path)
        ask(browser, ".diagnosis")
        saved = downloaded(browser, tmp_path / "saved")
        ReportEnvelope.model_validate_json(saved["json"])
        assert json.loads(saved["fhir.json"])["resourceType"] == "Bundle"
        assert all(DISCLAIMER in text for text in saved.values())
        assert len(clinic.fake.bodies) == 1
        seen = {browser.page_source, browser.current_url, *requested(browser), *saved.values()}
        seen |= {httpx.get(f"{clinic.url}/metrics", auth=("any", key)).text}
        seen |= {browser.execute_script("return JSON.stringify([localStorage, sessionStorage, document.cookie])")}

        revoke_key(clinic.keys, "clinic")
        find(browser, "#ask").click()
        until(lambda: any("queue/join" in url for url in requested(browser)))
        browser.get(f"{page}/")
        assert not browser.find_elements("css selector", "#ask")
        assert len(clinic.fake.bodies) == 1
    seen |= {r.getMessage() for r in caplog.records if r.name.startswith(("skinr1", "uvicorn", "fastapi", "gradio"))}
    assert any("key=clinic" in text for text in seen) and not any(key in text for text in seen)
