"""Loading, adapters, merging: on small models of both real families."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skinr1 import prompts, tiny, vlm
from skinr1.errors import UserError
from skinr1.serving.pixels import saved_budget
from skinr1.training.grpo import forbidden_tokens
from tests.recipes import runs

from peft import LoraConfig, PeftModel, get_peft_model  # isort: skip

FAMILIES = ("qwen2_5_vl", "qwen3_vl")
LORA = vlm.LoraArguments(lora_rank=4, lora_alpha=8, lora_dropout=0.0)


@pytest.fixture(scope="module", params=FAMILIES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write_base(tmp_path_factory.mktemp(request.param) / "base", request.param)


def probe(folder: Path) -> dict[str, Any]:
    processor = vlm.load_processor(folder)
    text = processor.apply_chat_template(
        prompts.messages(prompts.REPORT_QUESTION, 1), tokenize=False, add_generation_prompt=True
    )
    return dict(processor(text=[text], images=[Image.new("RGB", (112, 112), "brown")], return_tensors="pt"))


def save_adapter(base: Path, folder: Path, scale: float) -> Path:
    """An adapter with random weights; scale 0 changes nothing."""
    model = vlm.add_lora(vlm.load_model(base), LORA)
    torch.manual_seed(1)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=scale) if scale else torch.nn.init.zeros_(weights)
    model.save_pretrained(str(folder))
    return folder


def test_the_adapter_touches_only_the_language_model(base: Path):
    model = vlm.add_lora(vlm.load_model(base), LORA)
    adapted = [name for name, module in model.named_modules() if hasattr(module, "lora_A")]
    assert len(adapted) == vlm.assert_language_only(model) == 2 * 7
    assert all("language_model" in name and "visual" not in name for name in adapted)
    trained = {name for name, weights in model.named_parameters() if weights.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)


def test_a_pattern_that_reaches_the_visual_tower_is_refused(base: Path):
    everywhere = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    with pytest.raises(UserError, match="visual"):
        vlm.assert_language_only(get_peft_model(vlm.load_model(base), everywhere))


class _Trap:
    """What a hostile pickle does when it is read."""

    def __init__(self, sprung: Path):
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.sprung,))


@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_a_pickle_is_not_read(base: Path, tmp_path: Path, kind: str):
    folder, sprung = tmp_path / "folder", tmp_path / "sprung"
    weights, pickled = "model.safetensors", "pytorch_model.bin"
    if kind == "model":
        shutil.copytree(base, folder)
    else:
        save_adapter(base, folder, 0.05)
        weights, pickled = "adapter_model.safetensors", "adapter_model.bin"
    (folder / weights).unlink()
    (folder / pickled).write_bytes(pickle.dumps(_Trap(sprung)))
    (folder / "other.safetensors").write_bytes(b"")  # which nobody reads
    with pytest.raises(UserError, match="no safetensors"):
        vlm.load_model(folder)
    assert not sprung.exists()


def test_code_that_comes_with_a_model_is_not_run(base: Path, tmp_path: Path):
    folder, sprung = tmp_path / "folder", tmp_path / "sprung"
    shutil.copytree(base, folder)
    (folder / "own.py").write_text(f"from pathlib import Path\nPath({str(sprung)!r}).touch()\nclass Own: ...\n")
    for name, kind in (("config.json", "AutoModelForImageTextToText"), ("processor_config.json", "AutoProcessor")):
        own = json.loads((folder / name).read_text()) | {"auto_map": {kind: "own.Own", "AutoConfig": "own.Own"}}
        (folder / name).write_text(json.dumps(own))
    assert type(vlm.load_model(folder)) is type(vlm.load_model(base))
    assert type(vlm.load_processor(folder)) is type(vlm.load_processor(base))
    assert not sprung.exists()


def test_merged_and_unmerged_answer_alike(base: Path, tmp_path: Path):
    adapter = save_adapter(base, tmp_path / "adapter", 0.05)
    inputs = probe(base)
    difference = vlm.merge(adapter, tmp_path / "merged", inputs)
    assert difference < 1e-4
    unmerged, merged = vlm.load_model(adapter).eval(), vlm.load_model(tmp_path / "merged").eval()
    assert isinstance(unmerged, PeftModel)
    assert not isinstance(merged, PeftModel)
    with torch.no_grad():
        assert torch.allclose(merged(**inputs).logits, unmerged(**inputs).logits, atol=1e-4)
        assert not torch.allclose(merged(**inputs).logits, vlm.load_model(base).eval()(**inputs).logits, atol=1e-4)


def test_the_merged_model_keeps_the_pixel_budget_of_its_adapter(base: Path, tmp_path: Path):
    adapter = save_adapter(base, tmp_path / "adapter", 0.05)
    processor = vlm.load_processor(base)
    vlm.set_pixel_budget(processor, 4)
    processor.save_pretrained(adapter)
    vlm.merge(adapter, tmp_path / "merged", probe(adapter))
    assert saved_budget(tmp_path / "merged") == saved_budget(adapter) != saved_budget(base)


def test_an_adapter_that_changes_nothing_is_not_merged(base: Path, tmp_path: Path):
    with pytest.raises(UserError, match="changes no logit"):
        vlm.merge(save_adapter(base, tmp_path / "adapter", 0.0), tmp_path / "merged", probe(base))


def test_the_pixel_budget_bounds_every_image_and_is_saved(base: Path, tmp_path: Path):
    processor = vlm.load_processor(base)
    vlm.set_pixel_budget(processor, 9)
    processor.save_pretrained(tmp_path)
    images = vlm.load_processor(tmp_path).image_processor
    for size in ((112, 112), (3000, 400), (300, 900)):
        grid = images(Image.new("RGB", size), return_tensors="pt")["image_grid_thw"][0]
        assert 1 <= int(grid.prod()) // images.merge_size**2 <= 9


def test_no_answer_may_hold_an_image_token(base: Path):
    processor = vlm.load_processor(base)
    names = {processor.tokenizer.convert_ids_to_tokens(token) for token in forbidden_tokens(processor)}
    assert {"<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"} <= names
    assert "<|im_end|>" not in names


def test_a_folder_without_processor_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="no processor here"):
        vlm.load_processor(tmp_path)


@given(text=st.text())
def test_the_tiny_tokenizer_loses_no_text(text: str):
    tokenizer = _tokenizer()
    if not any(special in text for special in tiny.SPECIAL):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def _tokenizer(cache: dict[str, Any] = {}) -> Any:  # noqa: B006  (trained once)
    if not cache:
        cache["tokenizer"] = tiny.train_tokenizer([runs.answer(runs.NEVUS)] * 2, 700)
    return cache["tokenizer"]


def test_a_phrase_a_citation_and_a_key_are_single_tokens():
    tokens = {_tokenizer().decode([token]) for token in _tokenizer()(runs.answer(runs.NEVUS))["input_ids"]}
    assert {"brown colour", "primer:common-nevus#morphology", '","condition":"', "melanocytic/"} <= tokens


def test_the_embedded_model_has_about_five_million_parameters():
    model = tiny.build_model(tiny.train_tokenizer(["a b c"] * 3, 3000), tiny.TinySize())
    rows = (3000 - len(_tokenizer())) * 2 * tiny.TinySize().hidden  # a full vocabulary's embedding and head
    assert 3.5e6 < sum(weights.numel() for weights in model.parameters()) + rows < 6e6
