"""Asking a model through real HTTP: each question once, whatever fails on the way; nothing secret is ever shown."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from skinr1.errors import UserError
from skinr1.llm import Cache, Client, Completion, Endpoint, Refused, ordered, request_key
from skinr1.llm.connections import Connections
from skinr1.llm.endpoint import LONGEST_PAUSE, checked_url, read_key
from skinr1.llm.usage import Price, read_prices
from tests.llm_server import A_PAGE, BROKEN_JSON, HANG_UP, SILENCE, FakeModel, completion, error, served

KEY = "sk-very-secret"


def echo(body: dict[str, Any]) -> str:
    return f"said {body['messages']}"


def ask(
    model: FakeModel,
    cache: Path,
    *bodies: Any,
    concurrency: int = 4,
    attempts: int = 8,
    timeout: float = 10.0,
    key: str | None = None,
    slept: list[float] | None = None,
) -> tuple[list[Completion | Exception], Client]:
    """All bodies at once; pauses are counted instead of waited for."""

    async def sleep(seconds: float) -> None:
        if slept is not None:
            slept.append(seconds)

    async def run(url: str) -> tuple[list[Completion | Exception], Client]:
        async with Endpoint(url, key, attempts=attempts, timeout=timeout, sleep=sleep) as endpoint:
            client = Client(endpoint, Cache(cache), concurrency)
            return await asyncio.gather(*map(client.ask, bodies), return_exceptions=True), client

    with served(model) as url:
        return asyncio.run(run(url))


def body(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": text, **more}


PASSING = [error(429), error(408), error(500), error(529), HANG_UP, BROKEN_JSON, A_PAGE]


@pytest.mark.parametrize("fault", PASSING, ids=["429", "408", "500", "529", "hang-up", "broken-json", "page"])
def test_what_passes_is_tried_again(tmp_path: Path, fault: Any) -> None:
    model, slept = FakeModel(echo, [fault, fault]), []
    (answer,), client = ask(model, tmp_path, body(), slept=slept)
    assert isinstance(answer, Completion) and answer.text == "said hello"
    assert model.calls == 3 and client.endpoint.retries == 2 and client.asked == 1
    assert 0.5 <= slept[0] <= 1.0 <= slept[1] <= 2.0


def test_silence_is_tried_again(tmp_path: Path) -> None:
    model = FakeModel(echo, [SILENCE])
    (answer,), _ = ask(model, tmp_path, body(), timeout=1.5)
    assert isinstance(answer, Completion) and model.calls == 2


def test_a_server_that_stays_down_ends_the_run_with_one_line(tmp_path: Path) -> None:
    model, slept = FakeModel(echo, [error(500, "out of\nmemory")] * 20), []
    (fault,), _ = ask(model, tmp_path, body(), attempts=12, slept=slept)
    assert isinstance(fault, UserError) and "server answered 500: out of memory, 12 times" in str(fault)
    assert "\n" not in str(fault) and model.calls == 12
    assert slept[-1] <= LONGEST_PAUSE and slept[-1] >= LONGEST_PAUSE / 2
    assert not list(tmp_path.rglob("*.json"))


def test_nobody_sends_before_the_server_allows_it(tmp_path: Path) -> None:
    slept: list[float] = []
    ask(FakeModel(echo, [error(429, Retry_After="7")]), tmp_path / "a", body(), slept=slept)
    assert slept == [7.0]
    moment = {"Retry_After": "Wed, 21 Oct 2015 07:28:30 GMT"}
    ask(FakeModel(echo, [error(503, **moment)]), tmp_path / "b", body(), slept=slept)
    assert 0.5 <= slept[-1] <= 1.0  # long past
    (fault,), _ = ask(FakeModel(echo, [error(429, Retry_After="86400")]), tmp_path / "c", body())
    assert isinstance(fault, UserError) and "asks to wait 86400 s" in str(fault)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_at_fault_is_refused_once_and_never_kept(tmp_path: Path, status: int) -> None:
    model = FakeModel(echo, [error(status, "too long")] * 9, only=lambda b: b["messages"] == "bad")
    (one, two, good), client = ask(model, tmp_path, body("bad"), body("bad"), body("good"))
    assert isinstance(one, Refused) and isinstance(two, Refused) and f"{status}: too long" in str(one)
    assert isinstance(good, Completion) and model.calls == 2 and client.endpoint.retries == 0
    assert len(list(tmp_path.rglob("*.json"))) == 1


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_what_concerns_every_request_stops_at_once(tmp_path: Path, status: int) -> None:
    model = FakeModel(echo, [error(status, "no")] * 9)
    (fault,), _ = ask(model, tmp_path, body())
    assert isinstance(fault, UserError) and str(status) in str(fault) and model.calls == 1


def test_equal_requests_are_one_and_all_are_kept(tmp_path: Path) -> None:
    model = FakeModel(echo, delay=0.02)
    bodies = [body(f"q{n % 10}") for n in range(30)]
    first, client = ask(model, tmp_path, *bodies, concurrency=3)
    assert model.calls == 10 and model.most <= 3 and (client.asked, client.found) == (10, 0)
    again, later = ask(model, tmp_path, *bodies)
    assert again == first and model.calls == 10 and (later.asked, later.found) == (0, 10)
    assert later.usage.summary({}) == client.usage.summary({})


@pytest.mark.parametrize("change", [{"model": "n"}, {"messages": "other"}, {"seed": 1}, {"max_tokens": 5}])
def test_a_cached_answer_is_for_its_request_only(tmp_path: Path, change: dict[str, Any]) -> None:
    model = FakeModel(echo)
    ask(model, tmp_path, body(seed=0))
    ask(model, tmp_path, {**body(seed=0), **change})
    assert model.calls == 2


def test_images_are_part_of_a_request_and_only_their_hash_is_kept(tmp_path: Path) -> None:
    urls = [f"data:image/png;base64,{name * 400}" for name in ("AAAA", "BBBB")]
    pictured = [body([{"role": "user", "content": [{"image_url": {"url": url}}]}]) for url in urls]
    model = FakeModel(lambda _: "seen")
    ask(model, tmp_path, *pictured)
    assert model.calls == 2 and model.bodies[0]["messages"] in [b["messages"] for b in pictured]
    kept = [path.read_text() for path in tmp_path.rglob("*.json")]
    assert len(kept) == 2 and all("AAAA" not in text and "BBBB" not in text and "sha256:" in text for text in kept)


def damage(text: str) -> str:
    return text[: len(text) // 2]


def other_request(text: str) -> str:
    return json.dumps({**json.loads(text), "key": "0" * 64})


@pytest.mark.parametrize("change", [damage, other_request, lambda text: "[]"])
def test_a_damaged_cache_entry_is_told_not_used(tmp_path: Path, change: Callable[[str], str]) -> None:
    model = FakeModel(echo)
    ask(model, tmp_path, body())
    (entry,) = tmp_path.rglob("*.json")
    entry.write_text(change(entry.read_text()))
    (fault,), _ = ask(model, tmp_path, body())
    assert isinstance(fault, UserError) and str(entry) in str(fault) and model.calls == 1


def test_half_a_surrogate_pair_can_be_kept(tmp_path: Path) -> None:
    model = FakeModel(lambda _: "odd \ud83d end")
    (answer,), _ = ask(model, tmp_path, body())
    assert isinstance(answer, Completion) and answer.text == "odd \\ud83d end"
    assert ask(model, tmp_path, body())[0] == [answer] and model.calls == 1


def test_the_key_is_sent_and_stands_nowhere_else(tmp_path: Path) -> None:
    model = FakeModel(echo)
    ask(model, tmp_path, body(), key=KEY)
    assert model.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert all(KEY not in path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    for status in (400, 401, 500):
        talkative = FakeModel(echo, [error(status, f"Incorrect API key provided: {KEY}")] * 9)
        (fault,), _ = ask(talkative, tmp_path, body(str(status)), key=KEY, attempts=2)
        assert "[key]" in str(fault) and KEY not in str(fault)
    keyless = FakeModel(echo)
    ask(keyless, tmp_path, body("without"))
    assert "Authorization" not in keyless.headers[0]


@pytest.mark.parametrize("content", [b"", b" \n", b"two words", b"two\nlines", "schlüssel".encode(), b"\xff\xfe"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(UserError, match="holds no key") as caught:
        read_key(path)
    assert not content.strip() or content.decode("utf-8", "replace").strip() not in str(caught.value)


def test_a_key_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert read_key(tmp_path / "key") == KEY
    with pytest.raises(UserError, match="not found"):
        read_key(tmp_path / "none")


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000/v1", "ftp://a/v1", "file:" + "///a/v1", "http://", "https:///v1", "http://a:99999/v1",
     "http://a:port/v1", "http://a:0/v1", "http://[::1/v1", "http://a b/v1", "http://a/v1\n", "http://a\r\nX: y/v1",
     "http://a/v1#part", "http://a/v1?key=hush"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="not the address of an endpoint") as caught:
        checked_url(url)
    assert "hush" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http:SLASHESme:hush@host/v1", "https:SLASHEShush@host/v1", "http:SLASHESme:hu/sh@host/v1", "me:hush@host",
     "http:SLASHESme:hush?@host/v1", "http:SLASHESme:hush#@host/v1", "http:SLASHESme:hush@host:99999/v1",
     "ftp:SLASHESme:hush@host/v1", "http:SLASHES@host/v1"],
)  # fmt: skip
def test_user_info_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UserError) as caught:
        Endpoint(url.replace("SLASHES", "//"))  # no address with a password stands in the tree
    assert "hu" not in str(caught.value).replace("http", "") and "me:" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1/", "https://[::1]:8/v1", "https://models.example/a/v1"])
def test_addresses_lose_their_last_slash(url: str) -> None:
    assert checked_url(url) == url.rstrip("/")


def test_cost_is_told_only_where_it_is_known(tmp_path: Path) -> None:
    silent = FakeModel(lambda b: completion("x", usage=None) if b["model"] == "quiet" else "x")
    _, client = ask(silent, tmp_path, body("a"), body("b"), body("c", model="quiet"))
    prices = {"m": Price(2.0, 4.0), "quiet": Price(1.0, 1.0)}
    found = client.usage.summary(prices)
    assert found["m"] == {
        "requests": 2,
        "requests_without_token_counts": 0,
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "cost": 8e-05,
    }
    assert found["quiet"]["cost"] is None and found["quiet"]["requests_without_token_counts"] == 1
    assert client.usage.summary({})["m"]["cost"] is None


@pytest.mark.parametrize("given", ["nonsense", "[1]", {"m": 1}, {"m": [1]}, {"m": [1, -1]}, {"m": [1, float("inf")]}])
def test_odd_prices_are_refused(given: Any) -> None:
    with pytest.raises(UserError, match="not readable"):
        read_prices(given)


def test_prices_are_read_from_yaml_and_from_text() -> None:
    assert read_prices('{"m": [1, 2.5]}') == read_prices({"m": [1, 2.5]}) == {"m": Price(1.0, 2.5)}
    assert read_prices(None) == {}


def test_results_come_in_the_order_of_the_things() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0.002 * (number % 3))
        return number

    assert asyncio.run(ordered(work, iter(range(20)), 5)) == list(range(20))


def test_the_first_error_ends_what_is_under_way() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0.01 if number else 0)
        if number == 0:
            raise UserError("bad", "here", "Mend it.")
        done.append(number)

    with pytest.raises(UserError, match="bad"):
        asyncio.run(ordered(work, range(50), 4))
    assert not done


def test_the_hash_of_a_request_does_not_depend_on_the_order_of_its_keys() -> None:
    assert request_key({"a": 1, "b": 2}) == request_key({"b": 2, "a": 1}) != request_key({"a": 2, "b": 1})


def test_a_connection_whose_request_was_cancelled_is_not_lent_again() -> None:
    """At every moment of a request: cancelled while it connects, httpcore leaves a connection that it waits for."""

    async def cancelled_after(ticks: int, url: str) -> None:
        connections = Connections(timeout=5.0)

        async def request(words: str) -> httpx.Response:
            async with connections.lend() as http:
                return await http.post(f"{url}/chat/completions", json={"messages": [words]})

        task = asyncio.create_task(request("first"))
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await request("second")).is_success
        await connections.aclose()

    async def run(url: str) -> None:
        for ticks in range(40):
            await cancelled_after(ticks, url)

    with served(FakeModel(echo)) as url:
        asyncio.run(run(url))
