"""Configuration: default < YAML < command line, and one line for every mistake."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from skinr1.config import parse, run
from skinr1.errors import UserError


@dataclass
class Arguments:
    """Two keys."""

    learning_rate: float = 1.0
    name: str = "default"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("learning_rate: 2.0\n")
    return path


def test_default_below_yaml_below_command_line(recipe: Path):
    assert parse(Arguments, []) == Arguments(1.0, "default")
    assert parse(Arguments, ["--config", str(recipe)]) == Arguments(2.0, "default")
    assert parse(Arguments, [f"--config={recipe}", "--learning_rate", "3"]) == Arguments(3.0, "default")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("learning_rat: 1", "Did you mean 'learning_rate'"),
        ("max_prompt_length: 512", "was removed"),
        ("warmup_ratio: 0.1", "warmup_steps"),
        ("- a\n- b", "not a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_a_bad_yaml_ends_in_one_line(tmp_path: Path, content: str, message: str):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        parse(Arguments, ["--config", str(path)])
    assert "\n" not in str(error.value)


def test_unknown_option_and_missing_file():
    with pytest.raises(UserError, match="unknown key 'nam'"):
        parse(Arguments, ["--nam", "x"])
    with pytest.raises(UserError, match="config file not found"):
        parse(Arguments, ["--config", "nowhere.yaml"])


def test_a_program_prints_one_line_and_exits_with_2(capsys: pytest.CaptureFixture[str]):
    def main() -> None:
        raise UserError("what", "where", "do this")

    with pytest.raises(SystemExit) as exit_code:
        run(main)
    assert exit_code.value.code == 2
    assert capsys.readouterr().err == "error: what: where. do this\n"
