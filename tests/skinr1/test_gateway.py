"""The gateway in front of a fake vLLM: reports, OpenAI's API untouched, state, and clients that leave."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from starlette.responses import JSONResponse

from skinr1.errors import UserError
from skinr1.report import OPEN, Answer, render
from skinr1.serving.commands import report_main
from skinr1.serving.envelope import ReportEnvelope
from skinr1.serving.gateway.keys import add_key
from skinr1.serving.gateway.settings import GatewaySettings
from skinr1.serving.gateway.upstreams import STICKY_SLACK, Upstreams
from skinr1.serving.page.examples import rendered_examples
from tests.skinr1.gateway_rig import ANSWER, EXPECTED, FakeVllm, as_json, encoded, gateway, photo, until
from tests.skinr1.sample_report import REPORT, TREE, TREE_YAML


@pytest.fixture(scope="module")
def url(fake: FakeVllm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gateway(fake, tmp_path_factory.mktemp("gateway")) as address:
        yield address


def test_report_from_json(url: str, fake: FakeVllm) -> None:
    told = {
        "age": 61,
        "sex": "male",
        "site": "back",
        "duration": "3 weeks",
        "symptoms": ["itch"],
        "history": "It grew.",
    }
    response = httpx.post(f"{url}/v1/reports", json=as_json(photo(), **told))
    assert response.status_code == 200
    envelope = ReportEnvelope.model_validate_json(response.text)
    assert envelope.report == EXPECTED
    assert envelope.stamps.model == "sft"  # the last that is served
    assert envelope.stamps.taxonomy == f"test {TREE.hash}"
    body = fake.bodies[-1]
    assert "Patient: age 61; male; site back; complains of itch, since 3 weeks, It grew." in json.dumps(
        body["messages"]
    )
    assert body["response_format"]["type"] == "structural_tag"
    assert body["logit_bias"]  # image placeholders are barred


def test_rules_and_citations_are_code_s(tmp_path: Path) -> None:
    """Half of what is cited is in no book, and a melanoma stands in the differential with the advice of self-care."""
    careless = REPORT.model_copy(update={"advice": "self_care", "citations": (*REPORT.citations, "none:such")})
    with gateway(FakeVllm(render(Answer("Fine.", careless))), tmp_path) as url:
        envelope = ReportEnvelope.model_validate_json(httpx.post(f"{url}/v1/reports", json=as_json(photo())).text)
    assert envelope.report.citations == REPORT.citations
    assert envelope.citations_removed == ("none:such",)
    assert [flag.kind for flag in envelope.red_flags] == ["malignant"]
    assert envelope.report.advice not in ("self_care", "routine_visit")


def test_report_from_a_form(url: str, fake: FakeVllm) -> None:
    files = [("images", ("a.png", photo())), ("images", ("b.jpg", photo("JPEG")))]
    fields = {"modalities": ["clinical", ""], "age": "30", "symptoms": ["itch", "pain"]}
    response = httpx.post(f"{url}/v1/reports", files=files, data=fields)
    assert response.status_code == 200, response.text
    sent = fake.bodies[-1]["messages"][1]["content"]
    assert [part["type"] for part in sent] == ["image_url", "image_url", "text"]
    assert all(part["image_url"]["url"].startswith("data:image/png") for part in sent[:2])
    assert "itch, pain" in sent[2]["text"]


@pytest.mark.parametrize("how", [{"params": {"stream": "true"}}, {"headers": {"Accept": "text/event-stream"}}])
def test_reasoning_comes_while_it_is_written(url: str, how: dict) -> None:
    pieces, report = [], None
    with httpx.stream("POST", f"{url}/v1/reports", json=as_json(photo()), **how) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in response.iter_lines():
            kind, _, data = line.partition(": ")
            if kind == "event":
                name = data
            elif kind == "data" and name == "reasoning":
                pieces.append(json.loads(data)["text"])
            elif kind == "data":
                report = ReportEnvelope.model_validate_json(data)
    assert "".join(pieces) == ANSWER[len(OPEN) : ANSWER.index("</think>")]
    assert len(pieces) > 2
    assert report is not None
    assert report.report == EXPECTED


def test_official_client_works_as_it_is(url: str, fake: FakeVllm) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == ["base", "sft"]
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(photo())}"}}
    messages = [{"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]}]
    answer = client.chat.completions.create(model="sft", messages=messages)  # type: ignore[arg-type]
    assert answer.choices[0].message.content == ANSWER
    stream = client.chat.completions.create(model="sft", messages=messages, stream=True)  # type: ignore[arg-type]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == ANSWER


def test_skinr1_report_asks_through_the_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text(add_key(tmp_path / "keys.txt", "clinic") + "\n")
    (tmp_path / "tree.yaml").write_text(TREE_YAML)
    rendered_examples(count=1)[0].image.save(tmp_path / "lesion.png")
    (tmp_path / "noise.png").write_bytes(photo())
    fake = FakeVllm()
    with gateway(fake, tmp_path, keys=tmp_path / "keys.txt") as url:
        where = ["--url", f"{url}/v1", "--taxonomy", str(tmp_path / "tree.yaml")]
        known = [*where, "--key_file", str(tmp_path / "key")]
        report_main([str(tmp_path / "lesion.png"), *known])
        told = capsys.readouterr().out.lower()
        places = [told.index(words) for words in ("red flags", "melanoma is malignant", "diagnosis:", "common nevus")]
        assert places == sorted(places)
        report_main([str(tmp_path / "lesion.png"), *known, "--format", "json"])
        row = json.loads(capsys.readouterr().out)
        assert row["report"] == EXPECTED.model_dump(mode="json") and row["red_flags"] and row["refused"] is None
        asked = len(fake.bodies)
        report_main([str(tmp_path / "noise.png"), *known, "--format", "json"])
        row = json.loads(capsys.readouterr().out)
        assert row["report"]["diagnosis"] is None and row["refused"] and len(fake.bodies) == asked
        with pytest.raises(UserError, match="no valid API key"):
            report_main([str(tmp_path / "lesion.png"), *where])


@pytest.mark.parametrize(("query", "field"), [("format=xml", "format"), ("stream=perhaps", "stream")])
def test_a_wrong_query_is_told_in_openai_s_form(url: str, query: str, field: str) -> None:
    fault = httpx.post(f"{url}/v1/reports?{query}", json=as_json(photo()))
    assert fault.status_code == 422
    assert fault.json()["error"]["code"] == "field" and fault.json()["error"]["message"].startswith(f"{field}: ")


def test_chat_is_sent_on_byte_for_byte(url: str, fake: FakeVllm) -> None:
    raw = b'{ "model": "sft",  "messages": [{"role":"user","content":"h\\u00e9"}], "seed": 3 }'
    httpx.post(f"{url}/v1/chat/completions", content=raw, headers={"Content-Type": "application/json"})
    assert fake.raw[-1] == raw


def test_vllm_s_own_refusal_comes_through(url: str, fake: FakeVllm) -> None:
    fake.fault = JSONResponse({"error": {"message": "too long", "type": "BadRequestError", "code": 400}}, 400)
    try:
        chat = httpx.post(f"{url}/v1/chat/completions", json={"model": "sft", "messages": []})
        assert (chat.status_code, chat.json()["error"]["message"]) == (400, "too long")
        report = httpx.post(f"{url}/v1/reports", json=as_json(photo()))
        assert (report.status_code, report.json()["error"]["code"]) == (400, "model_refused")
    finally:
        fake.fault = None


@pytest.mark.parametrize(("text", "finish"), [("no report", "stop"), (ANSWER, "length"), (ANSWER[:-5], "stop")])
def test_an_answer_that_is_no_report_is_asked_for_again_and_then_told(
    url: str, fake: FakeVllm, text: str, finish: str
) -> None:
    before = len(fake.bodies)
    fake.text, fake.finish = text, finish
    try:
        response = httpx.post(f"{url}/v1/reports", json=as_json(photo()))
        assert (response.status_code, response.json()["error"]["code"]) == (502, "answer")
        assert [body["temperature"] for body in fake.bodies[before:]] == [0.0, 1.0]
    finally:
        fake.text, fake.finish = ANSWER, "stop"


def test_state_metrics_and_documentation(url: str) -> None:
    assert httpx.get(f"{url}/health").json() == {"status": "ok"}
    assert httpx.get(f"{url}/ready").json() == {"status": "ok"}
    text = httpx.get(f"{url}/metrics").text
    assert 'vllm:ran_total{model_name="m",replica="0"} 3.0' in text
    assert 'skinr1_upstream_up{replica="0"} 1.0' in text
    assert 'skinr1_requests_total{method="GET",route="/health",status="200"}' in text
    assert "https://" not in httpx.get(f"{url}/docs").text  # works offline
    assert "/v1/reports" in httpx.get(f"{url}/openapi.json").json()["paths"]


def test_model_that_is_not_served(url: str) -> None:
    response = httpx.post(f"{url}/v1/reports", json=as_json(photo(), model="gpt-9"))
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model")


@pytest.mark.parametrize("path", ["/v1/reports", "/v1/reports?stream=true", "/v1/chat/completions", "chat stream"])
def test_a_client_that_leaves_ends_the_request_in_vllm(tmp_path: Path, path: str) -> None:
    fake = FakeVllm(gap=5)
    chat = {"model": "sft", "messages": [], "stream": path == "chat stream"}
    address = "/v1/chat/completions" if path == "chat stream" else path
    body = as_json(photo()) if "reports" in path else chat

    async def leave(url: str) -> None:
        async with httpx.AsyncClient(timeout=60) as asking:
            work = asyncio.ensure_future(asking.post(url + address, json=body))
            while not fake.running:
                assert not work.done()
                await asyncio.sleep(0.01)
            work.cancel()

    with gateway(fake, tmp_path) as url:
        asyncio.run(leave(url))
        assert len(fake.bodies) == 1
        until(lambda: fake.running == 0 and fake.aborted == 1)
        until(lambda: "skinr1_requests_running 1.0" in httpx.get(f"{url}/metrics").text)  # this one


def test_a_dead_engine_is_503_at_once(tmp_path: Path) -> None:
    fake = FakeVllm()
    with gateway(fake, tmp_path) as url:
        fake.healthy = False
        fake.fault = JSONResponse({"error": {"message": "EngineCore died"}}, 500)
        for path, body in (("/v1/reports", as_json(photo())), ("/v1/chat/completions", {"model": "m", "messages": []})):
            response = httpx.post(url + path, json=body)
            assert response.status_code == 503
            assert response.headers["retry-after"]
        until(lambda: httpx.get(f"{url}/ready").status_code == 503)
        fake.healthy, fake.fault = True, None
        until(lambda: httpx.get(f"{url}/ready").status_code == 200)


def test_replicas_sticky_by_image_and_least_loaded() -> None:
    pool = Upstreams([f"http://replica{n}/v1" for n in range(3)], TREE, 5)
    for replica in pool.replicas:
        replica.up, replica.models = True, ("m",)
    homes = {seen: pool.choose(seen) for seen in map(str, range(60))}
    assert {replica.url for replica in homes.values()} == {replica.url for replica in pool.replicas}
    assert all(pool.choose(seen) is home for seen, home in homes.items())
    home = homes["0"]
    home.running = STICKY_SLACK
    assert pool.choose("0") is home
    home.running += 1
    assert pool.choose("0") is not home
    assert pool.choose() is not home
    home.running, home.up = 0, False  # the others keep their images
    assert all(pool.choose(seen) is old for seen, old in homes.items() if old is not home)


def test_a_request_has_an_end(tmp_path: Path) -> None:
    fake = FakeVllm(gap=0.4)  # each piece in time, the whole not
    with gateway(fake, tmp_path, answer_seconds=1) as url:
        body = {"model": "sft", "messages": [], "stream": True}
        with (
            pytest.raises(httpx.RemoteProtocolError),
            httpx.stream("POST", f"{url}/v1/chat/completions", json=body) as r,
        ):
            r.read()
        until(lambda: fake.running == 0)


def test_settings_have_safe_defaults() -> None:
    settings = GatewaySettings()
    assert settings.max_body == 20 * 2**20
    assert settings.image_hosts == []
