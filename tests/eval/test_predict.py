"""eval/predict.py against a small HTTP server of our own: rows, resumption, the same bytes."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skinr1.cases import Case, Role, SkinTone
from skinr1.errors import UserError
from skinr1.predictions import Journal, prediction_row
from skinr1.serving.client import Completion
from skinr1.stage import read_jsonl, write_jsonl
from skinr1.taxonomy import Taxonomy

ROOT = Path(__file__).parents[2]
NEVUS = "neoplasm/benign/melanocytic/common_nevus"
MELANOMA = "neoplasm/malignant/melanocytic/superficial_spreading_melanoma"


@pytest.fixture(scope="module")
def predict() -> ModuleType:
    spec = importlib.util.spec_from_file_location("predict", ROOT / "eval" / "predict.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class FakeServer:
    """Answers with the number of characters of the request; fails for good after ``fail_after`` answers."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.fail_after: int | None = None
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                return

            def _send(self, status: int, content: Any) -> None:
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                self._send(200, {"data": [{"id": "base"}, {"id": "sft"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/tokenize":
                    return self._send(200, {"tokens": [5]})
                with lock:
                    if outer.fail_after is not None and len(outer.asked) >= outer.fail_after:
                        return self._send(400, {"error": {"message": "out of order"}})
                    outer.asked.append(body)
                text = f"answer {len(json.dumps(body))} é"
                self._send(200, {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.http.shutdown()
    fake.http.server_close()


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    folder, rows = tmp_path / "cases", []
    (folder / "images").mkdir(parents=True)
    for index in range(10):
        pixels = np.random.default_rng(index).integers(0, 255, (40, 40 + index, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        case = Case(
            case_id=f"case-{9 - index}",
            source="test",
            images=(f"images/{index}.png",),
            role=Role.SPARSE,
            label="nevus",
            diagnoses=() if index == 9 else (NEVUS,),
            patient_id=f"patient-{index}",
            skin_tone=SkinTone(scale="fitzpatrick", value=3, provenance="clinician") if index else None,
            age=30 + index,
            licence="CC0",
            split="train" if index == 8 else "test",
        )
        rows.append(case.model_dump(mode="json"))
    write_jsonl(folder / "cases.jsonl", rows)
    return folder


def arguments(cases: Path, output: Path, server: FakeServer, *more: str) -> list[str]:
    where = ["--cases", str(cases), "--output", str(output), "--url", server.url, "--model", "sft"]
    return [*where, "--concurrency", "3", *more]


def test_rows_carry_truth_and_raw_text(predict: ModuleType, cases: Path, server: FakeServer, tmp_path: Path) -> None:
    predict.main(arguments(cases, tmp_path / "p", server))
    rows = list(read_jsonl(tmp_path / "p" / "predictions.jsonl"))
    assert [row["case_id"] for row in rows] == sorted(f"case-{9 - index}" for index in range(8))
    last = rows[-1]
    assert last["case_id"] == "case-9"
    assert last["skin_tone"] is None
    assert rows[0]["skin_tone"] == "fitzpatrick 3"
    assert last["condition"] == "benign"
    assert last["diagnoses"] == [NEVUS]
    assert last["image"] == "images/0.png"
    assert last["text"].startswith("answer ")
    assert last["finish_reason"] == "stop"
    manifest = json.loads((tmp_path / "p" / "manifest.json").read_text())
    assert manifest["counts"] == {"cases": 8, "cut": 0, "unlabelled": 1}
    assert server.url not in json.dumps(manifest)


def test_request_is_raw_by_default_and_structured_on_request(
    predict: ModuleType, cases: Path, server: FakeServer, tmp_path: Path
) -> None:
    predict.main(arguments(cases, tmp_path / "raw", server, "--limit", "1"))
    predict.main(arguments(cases, tmp_path / "forced", server, "--limit", "1", "--structured", "true"))
    raw, forced = server.asked
    assert "response_format" not in raw
    assert forced["response_format"]["type"] == "structural_tag"
    assert raw["temperature"] == 0
    assert raw["logit_bias"] == {"5": -100}
    kinds = [part["type"] for part in raw["messages"][1]["content"]]
    assert kinds == ["image_url", "text"]
    assert "age 37" in raw["messages"][1]["content"][1]["text"]


def test_failed_run_resumes_and_asks_nothing_twice(
    predict: ModuleType, cases: Path, server: FakeServer, tmp_path: Path
) -> None:
    server.fail_after = 4
    with pytest.raises(UserError, match="out of order"):
        predict.main(arguments(cases, tmp_path / "p", server))
    assert not (tmp_path / "p" / "predictions.jsonl").exists()
    kept = len(Journal(tmp_path / "p" / "journal.jsonl").answers)
    assert 1 <= kept <= 4
    journal = tmp_path / "p" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"finish_reason":"stop","ke')  # killed while writing
    server.fail_after, server.asked = None, []
    predict.main(arguments(cases, tmp_path / "p", server))
    assert len(server.asked) == 8 - kept
    predict.main(arguments(cases, tmp_path / "whole", server))
    for name in ("predictions.jsonl", "manifest.json"):
        assert (tmp_path / "p" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    server.asked = []
    predict.main(arguments(cases, tmp_path / "p", server))
    assert server.asked == []
    predict.main(arguments(cases, tmp_path / "p", server, "--max_tokens", "7"))
    assert len(server.asked) == 8  # another request is another question


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "validation"], "no labelled case in split 'validation'"),
        (["--model", "nobody"], "model 'nobody' is not served"),
    ],
)
def test_bad_config_is_one_line(
    predict: ModuleType, cases: Path, server: FakeServer, tmp_path: Path, more: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        predict.main(arguments(cases, tmp_path / "p", server, *more))
    assert "\n" not in str(caught.value)


def test_damaged_journal_is_reported(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"key": 1}\nnothing\n')
    with pytest.raises(UserError, match="not a journal line"):
        Journal(tmp_path / "j")


def test_condition_is_unknown_where_the_label_spans_buckets() -> None:
    case = Case(
        case_id="a", source="s", images=("a.png",), role=Role.SPARSE, diagnoses=(NEVUS, MELANOMA), licence="CC0"
    )
    assert prediction_row(case, Completion("x", "length"), Taxonomy.load())["condition"] is None
