"""Training's prompts and vLLM's, token by token, through vLLM's own processor."""

import importlib.util
from pathlib import Path

import pytest

from skinr1 import doctor, vlm
from skinr1.doctor.parity import IMAGES, SIZES, beside_vllm, parity
from skinr1.errors import UserError
from skinr1.serving.pixels import saved_budget
from tests.recipes import runs

needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write_base(tmp_path_factory.mktemp(request.param) / "base", request.param)


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    """An adapter trained with a smaller pixel budget than its base was saved with."""
    model = vlm.add_lora(vlm.load_model(str(base)), vlm.LoraArguments(lora_rank=2))
    model.save_pretrained(tmp_path / "adapter")
    processor = vlm.load_processor(base)
    vlm.set_pixel_budget(processor, 4)
    processor.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


@needs_vllm
def test_vllm_sees_the_prompts_of_training(base: Path):
    found = beside_vllm(base, vlm.load_processor(base), saved_budget(base))
    assert len(found) == len(SIZES) * len(IMAGES) >= 21
    assert all(found.values())


@needs_vllm
def test_a_budget_that_vllm_is_not_told_of_is_found(base: Path, adapter: Path):
    assert all(beside_vllm(base, vlm.load_processor(adapter), saved_budget(adapter)).values())
    untold = beside_vllm(base, vlm.load_processor(adapter), None)
    assert not untold["112 x 112, 1"]


@needs_vllm
def test_doctor_says_it(base: Path, adapter: Path, capsys: pytest.CaptureFixture[str]):
    assert {finding.what: finding.state for finding in parity(adapter)} == {
        "chat template": "ok",
        "vocabulary": "ok",
        "pixel budget": "ok",
        "prompt tokens": "ok",
    }
    doctor.main(["--parity", str(base)])
    assert f"{len(SIZES) * len(IMAGES)} of" in capsys.readouterr().out


def test_another_template_is_found(adapter: Path):
    processor = vlm.load_processor(adapter)
    processor.chat_template += " "
    processor.save_pretrained(adapter)
    assert {finding.what: finding.state for finding in parity(adapter)}["chat template"] == "differs"


def test_no_folder_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match="not found"):
        parity(tmp_path / "nowhere")
