"""What the gateway does around the model: the image gate, votes over several answers, formats, the page."""

import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from data_builders.rendered import Clinic, sample_case
from skinr1.errors import UserError
from skinr1.report import Answer, render
from skinr1.serving.gateway.reports import policies_of
from skinr1.serving.gateway.settings import GatewaySettings
from tests.skinr1.gateway_rig import ANSWER, FakeVllm, as_json, gateway, photo
from tests.skinr1.sample_report import MELANOMA, NEVUS, REPORT


def skin(size: int = 224) -> bytes:
    """A rendered picture that the real gate lets pass."""
    clinic = Clinic.load()
    spec = sample_case(np.random.default_rng(3), [clinic.diseases[0].node], clinic=clinic, tones=(3,), size=size)
    buffer = io.BytesIO()
    spec.cases[0].spec.image().save(buffer, "PNG")
    return buffer.getvalue()


def asked(address: str, request: dict[str, Any], **query: Any) -> httpx.Response:
    return httpx.post(f"{address}/v1/reports", json=request, params=query, timeout=60)


def test_what_cannot_be_judged_is_refused_before_the_model(tmp_path: Path):
    fake = FakeVllm()
    with gateway(fake, tmp_path, quality=None) as address:
        refused = asked(address, as_json(photo(size=(200, 200)))).json()
        assert refused["refused"] and refused["report"]["diagnosis"] is None
        assert refused["report"]["advice"] == "new_image" and refused["limitations"]
        assert fake.bodies == []
        mixed = {"images": [as_json(photo(size=(200, 200)))["images"][0], as_json(skin())["images"][0]]}
        judged = asked(address, mixed).json()
    assert judged["refused"] is None and {found["image"] for found in judged["limitations"]} >= {0}
    (body,) = fake.bodies
    assert json.dumps(body).count("data:image/png") == 1, "the unfit image does not reach the model"


def by_seed(*reports: str):
    """The fake's answer: the greedy one first, then one after the other."""
    texts = iter(reports)
    return lambda body: next(texts)


def told(node: str) -> str:
    bucket = "malignant" if node == MELANOMA else "benign"
    entry = REPORT.differential[0].model_copy(update={"diagnosis": node, "probability": 0.8})
    changes = {"diagnosis": node, "condition": bucket, "differential": (entry,), "advice": "routine_visit"}
    return render(Answer(f"It is {node}.", REPORT.model_copy(update=changes)))


def test_several_answers_become_one_and_no_suspicion_is_outvoted(tmp_path: Path):
    fake = FakeVllm(by_seed(told(NEVUS), told(MELANOMA), told(NEVUS), told(NEVUS)))
    with gateway(fake, tmp_path) as address:
        found = asked(address, as_json(photo(), samples=4, views=True)).json()
    assert found["agreement"]["samples"] == 4
    assert found["agreement"]["voted"] == {NEVUS: 3, MELANOMA: 1}
    assert found["report"]["diagnosis"] == NEVUS
    assert found["reasoning"] == f"It is {NEVUS}."
    assert [flag["diagnosis"] for flag in found["red_flags"]] == [MELANOMA]
    assert found["report"]["advice"] == "prompt_visit"
    assert len({body["seed"] for body in fake.bodies}) == 4
    pictures = {json.dumps(body["messages"]) for body in fake.bodies}
    assert len(pictures) == 4, "every answer but the first sees another view"
    assert sorted(body["temperature"] for body in fake.bodies) == [0.0, 1.0, 1.0, 1.0]


def test_one_answer_that_fails_fails_the_vote(tmp_path: Path):
    fake = FakeVllm(lambda body: ANSWER if body["temperature"] == 0 else "no report")
    with gateway(fake, tmp_path) as address:
        response = asked(address, as_json(photo(), samples=3))
    assert (response.status_code, response.json()["error"]["code"]) == (502, "answer")


@pytest.mark.parametrize(
    ("form", "kind", "holds"),
    [
        ("markdown", "text/markdown", "Research software"),
        ("html", "text/html", "Research software"),
        ("fhir", "application/fhir+json", "DiagnosticReport"),
        ("json", "application/json", "red_flags"),
    ],
)
def test_formats(tmp_path: Path, form: str, kind: str, holds: str):
    with gateway(FakeVllm(), tmp_path) as address:
        response = asked(address, as_json(photo()), format=form)
    assert response.status_code == 200 and response.headers["content-type"].startswith(kind)
    assert holds in response.text


def test_events_are_json_only_and_other_formats_are_refused(tmp_path: Path):
    with gateway(FakeVllm(), tmp_path) as address:
        assert asked(address, as_json(photo()), format="html", stream="true").status_code == 422
        assert asked(address, as_json(photo()), format="pdf").status_code == 422


def test_the_page_is_there_and_can_be_left_out(tmp_path: Path):
    with gateway(FakeVllm(), tmp_path, page=True) as address:
        page = httpx.get(f"{address}/page/", timeout=60)
        assert page.status_code == 200 and "skinr1" in page.text
    with gateway(FakeVllm(), tmp_path) as address:
        assert httpx.get(f"{address}/page/").status_code == 404


def test_what_the_page_stores_is_pixels_only(tmp_path: Path):
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    with gateway(FakeVllm(), tmp_path, page=True) as address:
        send = partial(httpx.post, f"{address}/page/gradio_api/upload", timeout=60)
        files = [("files", ("Jane Doe.jpg", photo(kind, exif=exif))) for kind in ("JPEG", "PNG")]
        stored = [Path(path) for path in send(files=files).json()]
        assert [path.name for path in stored] == ["image-1.png", "image-2.png"]
        for path in stored:
            assert not Image.open(path).getexif() and b"secret" not in path.read_bytes()
        refused = send(files={"files": ("page.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")})
        assert refused.status_code == 400 and "drawing" in refused.json()["error"]["message"]


def test_bounds_of_the_configuration():
    made = policies_of(GatewaySettings(quality={"side": 300}, red_flags='{"malignant": 0.2}', voting={"support": 0.7}))
    assert (made.quality.side, made.red_flags.malignant, made.voting.support) == (300, 0.2, 0.7)
    for wrong, message in (({"sides": 1}, "no 'sides'"), ({"side": "x"}, "no number")):
        with pytest.raises(UserError, match=message):
            policies_of(GatewaySettings(quality=wrong))


def test_image_bytes_are_pixels_only(tmp_path: Path):
    fake = FakeVllm()
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    with gateway(fake, tmp_path) as address:
        asked(address, as_json(photo("JPEG", exif=exif), samples=2, views=True))
    assert all(b"secret place" not in raw for raw in fake.raw)
