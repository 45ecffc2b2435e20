"""Configuration: default < YAML < command line, and one line for every mistake."""

from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest

from skinr1.config import OTHER_KEYS, REMOVED_KEYS, parse, run
from skinr1.errors import UserError
from tests.recipes import runs


@dataclass
class Arguments:
    """Two keys."""

    learning_rate: float = 1.0
    name: str = "default"


@dataclass
class Lists:
    """Keys with several values."""

    files: list[Path] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [1])


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("learning_rate: 2.0\n")
    return path


def test_default_below_yaml_below_command_line(recipe: Path):
    assert parse(Arguments, []) == Arguments(1.0, "default")
    assert parse(Arguments, ["--config", str(recipe)]) == Arguments(2.0, "default")
    assert parse(Arguments, [f"--config={recipe}", "--learning_rate", "3"]) == Arguments(3.0, "default")


def test_lists_have_the_same_types_from_yaml_and_the_command_line(tmp_path: Path):
    (tmp_path / "lists.yaml").write_text("files: [a, b]\nseeds: [2, 3]\n")
    expected = Lists([Path("a"), Path("b")], [2, 3])
    assert parse(Lists, ["--config", str(tmp_path / "lists.yaml")]) == expected
    assert parse(Lists, ["--files", "a", "b", "--seeds", "2", "3"]) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("learning_rat: 1", "Did you mean 'learning_rate'"),
        ("max_prompt_length: 512", "was removed"),
        ("warmup_ratio: 0.1", "warmup_steps"),
        ("model_name_or_path: x", "use model"),
        ("- a\n- b", "not a mapping"),
        ("a: [", "not YAML"),
        ("", "not a mapping"),
        ("1: 2", "unknown key '1'"),
        ("on: 2", "unknown key 'True'"),
        ("name: na\xefve", "not YAML"),
        ("learning_rate: fast", "invalid float value: 'fast'"),
    ],
)
def test_a_bad_yaml_ends_in_one_line(tmp_path: Path, content: str, message: str):
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="latin-1")
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config"], "config file not found"),
        (["--learning_rate", "fast"], "invalid float value: 'fast'"),
        (["--learning_rate"], "expected one argument"),
        (["--warmup_ratio", "0.1"], "warmup_steps"),
    ],
)
def test_a_bad_command_line_ends_in_one_line(arguments: list[str], message: str):
    with pytest.raises(UserError, match=message) as error:
        parse(Arguments, arguments)
    assert "\n" not in str(error.value)


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_code:
        parse(Arguments, ["--help"])
    assert exit_code.value.code == 0
    assert "--learning_rate" in capsys.readouterr().out


def test_a_removed_key_is_known_to_no_trainer_and_its_successor_to_one():
    """A key that a trainer still knows would be accepted, and its hint never shown."""
    from skinr1.training.grpo import GrpoConfig
    from skinr1.training.sft import SftConfig
    from skinr1.vlm import LoraArguments

    scripts = [runs.program(name).Arguments for name in ("sft", "grpo")]
    known = {field.name for config in (SftConfig, GrpoConfig, LoraArguments, *scripts) for field in fields(config)}
    assert "learning_rate" in known
    assert not known & (REMOVED_KEYS.keys() | OTHER_KEYS.keys())
    named = [hint.split()[1].rstrip(":,;") for hint in (REMOVED_KEYS | OTHER_KEYS).values() if hint.startswith("use ")]
    assert set(named) <= known
