"""The parity command's verdicts; the two halves it compares are tested with vLLM in tests/integration."""

from pathlib import Path

import pytest
from PIL import Image

from skinr1.errors import UserError
from skinr1.serving import parity
from skinr1.serving.parity import Answered, same_but_for_ties

PROMPT = [1, 5, 5, 5, 2]


@pytest.mark.parametrize(
    ("answer", "margins", "same"),
    [
        ([7, 8, 9], [1.0, 1.0, 1.0], True),
        ([7, 0, 9], [1.0, 1e-6, 1.0], True),  # what follows a tie may differ as it likes
        ([7, 0, 9], [1.0, 0.5, 1e-6], False),
        ([7, 8], [1.0, 1.0, 1.0], False),
    ],
)
def test_ties_are_the_only_excuse(answer: list[int], margins: list[float], same: bool) -> None:
    assert same_but_for_ties(answer, Answered(PROMPT, [7, 8, 9], margins), 1e-3) is same


@pytest.mark.parametrize(
    ("vllm", "told"),
    [
        (Answered(PROMPT, [7, 8]), None),
        (Answered([1, 5, 5, 2], [7, 8]), "prompt of 4 tokens in vLLM, 5 in transformers"),
        (Answered(PROMPT, [7, 3]), "answers part at token 1"),
        (Answered(PROMPT, [7]), "answers of 1 and 2 tokens"),
    ],
)
def test_a_difference_is_told_and_ends_with_1(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    vllm: Answered,
    told: str | None,
) -> None:
    async def asked(*_: object) -> list[Answered]:
        return [vllm]

    monkeypatch.setattr(parity, "_ask_vllm", asked)
    monkeypatch.setattr(parity, "_ask_transformers", lambda *_: [Answered(PROMPT, [7, 8], [1.0, 1.0])])
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    arguments = ["--model", "m", "--images", str(tmp_path), "--count", "1"]
    if told is None:
        parity.main(arguments)
        return
    with pytest.raises(SystemExit) as ended:
        parity.main(arguments)
    assert ended.value.code == 1
    assert told in capsys.readouterr().out


def test_too_few_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="0 images, not 50"):
        parity.main(["--model", "m", "--images", str(tmp_path)])
