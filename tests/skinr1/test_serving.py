"""Serving without a server: command line, config errors, client, grammar, report text."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from skinr1 import config, prompts
from skinr1.errors import UserError
from skinr1.grammar import json_ebnf, longest_json
from skinr1.report import (
    DISCLAIMER,
    Answer,
    DifferentialEntry,
    Report,
    json_schema,
    longest_forced_answer,
    render,
    structural_tag,
)
from skinr1.serving import process
from skinr1.serving.client import AsyncClient, Sampling, request_body, with_images
from skinr1.serving.process import ServeConfig, command
from skinr1.serving.text import passage_titles, render_text
from skinr1.stage import write_jsonl
from skinr1.taxonomy import Bucket, Taxonomy

TREE = Taxonomy.from_yaml(
    """
version: test
tree:
  neoplasm:
    children:
      benign: {bucket: benign, children: {common_nevus: {}, seborrheic_keratosis: {}}}
      malignant: {bucket: malignant, children: {nodular_melanoma: {}}}
"""
)
NEVUS, MELANOMA = "neoplasm/benign/common_nevus", "neoplasm/malignant/nodular_melanoma"
REPORT = Report(
    schema_version="v1",
    findings=("papule", "brown colour", "sharp border"),
    diagnosis=NEVUS,
    condition=Bucket.BENIGN,
    differential=(
        DifferentialEntry(diagnosis=NEVUS, probability=0.7, evidence_for=("sharp border",), evidence_against=()),
        DifferentialEntry(
            diagnosis=MELANOMA, probability=0.25, evidence_for=(), evidence_against=("sharp border", "smooth surface")
        ),
    ),
    confidence="high",
    advice="routine_visit",
    citations=("primer:common-nevus#morphology", "primer:melanoma"),
    disclaimer=DISCLAIMER,
)


def write_model(folder: Path, longest: int = 12544, file: str = "processor_config.json") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    size = {"size": {"shortest_edge": 784, "longest_edge": longest}}
    old = {"min_pixels": 784, "max_pixels": longest}
    (folder / file).write_text(json.dumps({"image_processor": size} if file.startswith("processor") else old))
    return folder


def write_adapter(folder: Path, rank: int, **settings: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank, **settings}))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    return folder


def flag(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(f"--{name}") + 1]


@pytest.mark.parametrize("file", ["processor_config.json", "preprocessor_config.json"])
def test_command_takes_the_pixel_budget_from_the_saved_processor(tmp_path: Path, file: str) -> None:
    arguments = command(ServeConfig(model=str(write_model(tmp_path / "base", file=file)), max_images=2))
    assert arguments[:3] == [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    assert json.loads(flag(arguments, "mm-processor-kwargs")) == {"min_pixels": 784, "max_pixels": 12544}
    assert json.loads(flag(arguments, "limit-mm-per-prompt")) == {"image": 2, "video": 0}
    assert json.loads(flag(arguments, "structured-outputs-config"))["disable_any_whitespace"] is True
    assert flag(arguments, "served-model-name") == "base"
    assert not {"--enable-lora", "--enforce-eager", "--tensor-parallel-size"} & set(arguments)


@pytest.mark.parametrize(("rank", "allowed"), [(1, 1), (2, 8), (16, 16), (48, 64), (257, 320), (512, 512)])
def test_adapter_rank_is_rounded_up(tmp_path: Path, rank: int, allowed: int) -> None:
    assert process.adapter_rank(write_adapter(tmp_path / "a", rank)) == allowed


def test_adapters_set_lora_flags_and_their_pixel_budget(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base", longest=1_000_000)
    sft, grpo = write_adapter(tmp_path / "sft", 8), write_adapter(tmp_path / "grpo", 8, rank_pattern={"q_proj": 20})
    write_model(tmp_path / "saved", longest=50_000)
    (sft / "processor_config.json").write_text((tmp_path / "saved" / "processor_config.json").read_text())
    arguments = command(ServeConfig(model=str(base), adapters={"sft": str(sft), "grpo": str(grpo)}))
    assert flag(arguments, "max-lora-rank") == "32"
    assert flag(arguments, "max-loras") == "2"
    start = arguments.index("--lora-modules")
    assert arguments[start + 1 : start + 3] == [f"sft={sft}", f"grpo={grpo}"]
    assert json.loads(flag(arguments, "mm-processor-kwargs"))["max_pixels"] == 50_000


def test_adapters_of_different_pixel_budgets_are_refused(tmp_path: Path) -> None:
    base, adapters = write_model(tmp_path / "base"), {}
    for name, longest in (("a", 10_000), ("b", 20_000)):
        adapters[name] = str(write_adapter(tmp_path / name, 8))
        budget = {"image_processor": {"min_pixels": 784, "max_pixels": longest}}
        (tmp_path / name / "processor_config.json").write_text(json.dumps(budget))
    with pytest.raises(UserError, match="different pixel budgets"):
        command(ServeConfig(model=str(base), adapters=adapters))


def test_config_from_the_command_line(tmp_path: Path) -> None:
    arguments = [
        "--model",
        "a/b",
        "--adapters",
        "sft=x,grpo=y",
        "--vllm_args",
        '{"seed": 3, "async_scheduling": false}',
    ]
    settings = config.parse(ServeConfig, arguments)
    assert settings.adapters == {"sft": "x", "grpo": "y"}
    settings.adapters = {}
    assert flag(command(settings), "seed") == "3"
    assert "--no-async-scheduling" in command(settings)
    with pytest.raises(UserError, match="adapters is not readable"):
        ServeConfig(model="a/b", adapters="sft")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{tmp}/nowhere", "model folder not found"),
        ("./nowhere", "model folder not found"),
        ("{tmp}/empty", "config.json is missing"),
        ("{tmp}/adapter", "an adapter, not a full model"),
    ],
)
def test_bad_model_folder_is_one_line(tmp_path: Path, model: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    write_adapter(tmp_path / "adapter", 8)
    with (
        pytest.raises(UserError, match=message) as caught,
        process.start(ServeConfig(model=model.format(tmp=tmp_path))),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("rank", "message"), [(None, "adapter not found"), (1024, "rank 1024 is above 512")])
def test_bad_adapter_is_one_line(tmp_path: Path, rank: int | None, message: str) -> None:
    base = write_model(tmp_path / "base")
    if rank:
        write_adapter(tmp_path / "a", rank)
    with pytest.raises(UserError, match=message):
        command(ServeConfig(model=str(base), adapters={"a": str(tmp_path / "a")}))


def test_port_in_use_is_found_before_the_start(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = ServeConfig(model=str(base), port=taken.getsockname()[1])
        with pytest.raises(UserError, match="port cannot be used"), process.start(settings):
            pass


def test_death_at_start_reports_the_first_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "print('(EngineCore pid=7) ERROR 11-23 13:05:35 [core.py:133] ValueError: [x] no such weights');"
        "print('(APIServer pid=1) RuntimeError: Engine core initialization failed'); raise SystemExit(1)"
    )
    monkeypatch.setattr(process, "SERVER", (sys.executable, "-c", script))
    settings = ServeConfig(model=str(write_model(tmp_path / "base")), port=0, log=tmp_path / "log")
    with (
        pytest.raises(UserError, match=r"vLLM ended at start: ValueError: \[x\] no such weights"),
        process.start(settings),
    ):
        pass


def test_end_takes_the_whole_process_group() -> None:
    script = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    process.stop(parent)
    assert parent.poll() is not None
    deadline = time.monotonic() + 5
    while _alive(child) and time.monotonic() < deadline:  # killed, but the kernel may still be at it
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    """An orphan that nobody reaps stays as a zombie, which is dead enough."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("recipe", sorted(p.name for p in Path("recipes/serve").glob("*.yaml")))
def test_shipped_recipe_parses(recipe: str) -> None:
    settings = config.parse(ServeConfig, ["--config", f"recipes/serve/{recipe}", "--port", "0"])
    assert settings.port == 0
    assert settings.served_name


# ---------------------------------------------------------------- client


def test_request_body_fills_images_in_order() -> None:
    messages = prompts.messages("Look.", 2)
    body = request_body("m", messages, [b"one", b"two"], Sampling(True, 9, 0.0, 1, (4, 5)), TREE)
    parts = body["messages"][1]["content"]
    assert [part["type"] for part in parts] == ["image_url", "image_url", "text"]
    assert parts[1]["image_url"]["url"] == "data:image/png;base64,dHdv"
    assert body["logit_bias"] == {"4": -100, "5": -100}
    assert body["response_format"] == structural_tag(TREE)
    assert "response_format" not in request_body("m", messages, [b"1", b"2"], Sampling(False), TREE)


@pytest.mark.parametrize("count", [0, 2])
def test_images_must_match_their_placeholders(count: int) -> None:
    with pytest.raises(ValueError, match="image"):
        with_images(prompts.messages("Look.", 1), [b"x"] * count)


def replies(*script: int | str) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A transport that plays a script of status codes and ``drop`` (a broken connection)."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        step = script[len(seen)]
        seen.append(request)
        if isinstance(step, str):
            raise httpx.ConnectError("refused")
        good = {"choices": [{"message": {"content": "text"}, "finish_reason": "stop"}]}
        return httpx.Response(step, json=good if step == 200 else {"error": {"message": "bad\nwords"}})

    return httpx.MockTransport(handle), seen


def complete(transport: httpx.MockTransport, attempts: int = 4) -> str:
    async def run() -> str:
        async with AsyncClient("http://x/v1", attempts=attempts, pause=0.0, transport=transport) as client:
            return (await client.complete({})).text

    return asyncio.run(run())


def test_client_tries_again_after_passing_faults() -> None:
    transport, seen = replies(429, "drop", 503, 200)
    assert complete(transport) == "text"
    assert len(seen) == 4


def test_client_gives_up_with_one_line() -> None:
    transport, seen = replies("drop", "drop")
    with pytest.raises(UserError, match=r"no answer \(ConnectError\), 2 times") as caught:
        complete(transport, attempts=2)
    assert len(seen) == 2
    assert "skinr1 serve" in str(caught.value)


def test_client_does_not_repeat_a_refused_request() -> None:
    transport, seen = replies(400)
    with pytest.raises(UserError, match="server answered 400: bad words"):
        complete(transport)
    assert len(seen) == 1


def test_client_bounds_concurrency() -> None:
    running, most = 0, 0

    async def handle(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await asyncio.sleep(0.005)
        running -= 1
        return httpx.Response(200, json={"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]})

    async def run() -> None:
        async with AsyncClient("http://x/v1", concurrency=3, transport=httpx.MockTransport(handle)) as client:
            await asyncio.gather(*(client.complete({}) for _ in range(12)))

    asyncio.run(run())
    assert most == 3


# ---------------------------------------------------------------- grammar


def test_grammar_admits_what_render_writes_and_nothing_looser() -> None:
    xgrammar = pytest.importorskip("xgrammar")
    from xgrammar.testing import _is_grammar_accept_string as accepts

    grammar = xgrammar.Grammar.from_structural_tag(json.dumps(structural_tag(TREE)))
    text = render(Answer("Seen: papule.\nSo a nevus.", REPORT))
    assert accepts(grammar, text)
    changes = [
        ("0.7,", "0.701,"),
        ("0.7,", "0.70,"),
        (NEVUS, "nevus"),
        ('"papule"', '"pimple"'),
        (":[", ": ["),
        ("</think>\n", "</think>"),
    ]
    for old, new in [
        *changes,
        ('"primer:melanoma"', '"primer:"'),
        ("Seen", " Seen"),
        ("Seen", "<Seen"),
        ('"high"', '"sure"'),
    ]:
        assert old in text, old
        assert not accepts(grammar, text.replace(old, new, 1)), (old, new)
    for short, long in (('"papule"', ",".join(['"papule"'] * 7)), ('"primer:melanoma"', ",".join(['"a:b"'] * 6))):
        assert not accepts(grammar, text.replace(short, long, 1))


def test_longest_answer_bounds_a_full_report() -> None:
    schema = json_schema(TREE)
    entry = REPORT.differential[0].model_copy(
        update={"diagnosis": MELANOMA, "evidence_for": ("irregular network",) * 8}
    )
    full = REPORT.model_copy(
        update={
            "findings": ("irregular network",) * 8,
            "differential": (entry,) * 5,
            "citations": (f"{'a' * 40}:{'b' * 80}#{'c' * 40}",) * 6,
        }
    )
    text = render(Answer("x" * 100, full))
    assert len(text.encode()) <= longest_forced_answer(TREE, 100) < 12_000
    assert longest_json({"type": "string", "pattern": "^[a-c]{1,3}(x|y)?$"}) == 7
    assert longest_json(schema) == longest_forced_answer(TREE, 100) - 400 - len("<think></think>\n")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "array", "items": {"const": 1}},
        {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]},
        {"type": "object", "additionalProperties": False, "properties": {"a": {"const": 1}}, "required": []},
        {"type": "string", "pattern": r"^\d$"},
        {"type": "string", "pattern": "open"},
    ],
)
def test_grammar_refuses_what_it_does_not_translate(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=re.compile("not translated|optional")):
        json_ebnf(schema)


# ---------------------------------------------------------------- text

EXPECTED = """\
Diagnosis:   neoplasm > benign > common nevus
Condition:   benign
Confidence:  high
Advice:      routine visit to a dermatologist

Findings:    papule, brown colour, sharp border

Differential
   70 %  common nevus
         for:     sharp border
   25 %  nodular melanoma
         against: sharp border, smooth surface

Citations
  - Common nevus, morphology (primer, p. 3) [primer:common-nevus#morphology]
  - primer:melanoma

Reasoning
  Seen: papule.

Research software, not a medical device."""


def test_report_reads_like_a_letter(tmp_path: Path) -> None:
    passage = {
        "id": "primer:common-nevus#morphology",
        "source": "primer",
        "section": "Common nevus",
        "kind": "morphology",
        "page": 3,
    }
    write_jsonl(tmp_path / "passages.jsonl", [passage])
    assert render_text(REPORT, TREE, passage_titles(tmp_path), "Seen: papule.") == EXPECTED


def test_report_text_without_titles_or_reasoning() -> None:
    text = render_text(REPORT.model_copy(update={"findings": (), "citations": ()}), TREE)
    assert "Findings:    none" in text
    assert "Citations\n  none" in text
    assert "Reasoning" not in text
