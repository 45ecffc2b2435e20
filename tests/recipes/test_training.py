"""The recipes under the real torchrun, TRL, PEFT and DeepSpeed, on an untrained model."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from skinr1.errors import UserError
from skinr1.training.run import last_checkpoint
from tests.recipes import runs

CPU = ("--use_cpu", "true", "--bf16", "false", "--dtype", "float32", "--gradient_checkpointing", "false")
SMALL = (*CPU, "--lora_rank", 4, "--lora_dropout", 0.0, "--max_steps", 4, "--logging_steps", 1, "--learning_rate", 1e-3)
GRPO = (*SMALL, "--num_generations", 4, "--max_completion_length", 12, "--per_device_train_batch_size", 4)
# An untrained model never earns a reward; an entropy bonus moves the policy all the same.
MOVING = ("--entropy_coef", 0.5, "--learning_rate", 1e-2)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = runs.write_rows(tmp_path_factory.mktemp("rows"))
    for family in ("qwen2_5_vl", "qwen3_vl"):
        runs.write_base(folder / family, family)
    return folder


@pytest.fixture(scope="session")
def sft(inputs: Path) -> Path:
    """An SFT adapter on the tiny Qwen2.5-VL, trained by one process."""
    run_sft(inputs, inputs / "sft")
    return inputs / "sft"


def run_sft(inputs: Path, output: Path, *options: object, processes: int = 1, family: str = "qwen2_5_vl") -> None:
    files = ("--model", inputs / family, "--train_file", inputs / "sft.jsonl", "--output_dir", output)
    runs.launch("sft.py", *files, *SMALL, "--per_device_train_batch_size", 2, *options, processes=processes)


def run_grpo(inputs: Path, model: Path, output: Path, *options: object, processes: int = 1) -> None:
    files = ("--model", model, "--train_file", inputs / "rl.jsonl", "--output_dir", output)
    runs.launch("grpo.py", *files, *GRPO, *options, processes=processes)


def test_sft_learns_and_leaves_a_run_folder(sft: Path):
    losses = [row["loss"] for row in runs.metrics(sft) if "loss" in row]
    assert losses[-1] < losses[0]
    names = {path.name for path in sft.iterdir()}
    assert {"adapter_model.safetensors", "manifest.json", "metrics.jsonl", "processor_config.json"} <= names
    assert not list(sft.glob("*.bin")), "a pickle was left beside the adapter"


@pytest.mark.slow
@pytest.mark.parametrize("zero", [2, 3])
@pytest.mark.parametrize("recipe", ["sft", "grpo"])
def test_two_processes_under_deepspeed(inputs: Path, sft: Path, tmp_path: Path, recipe: str, zero: int):
    deepspeed = ("--deepspeed", runs.ROOT / "recipes" / "deepspeed" / f"zero{zero}.json", "--max_steps", 2)
    if recipe == "sft":
        run_sft(inputs, tmp_path / "run", *deepspeed, processes=2)
    else:
        both = ("--beta", 0.04, *MOVING, *deepspeed)
        run_grpo(inputs, sft, tmp_path / "run", *both, processes=2)
        run_grpo(inputs, sft, tmp_path / "stock", *both, "--shared_prefix", "false", processes=2)
        ours, stock = (course(tmp_path / name, ("loss", "kl", "entropy")) for name in ("run", "stock"))
        assert [pytest.approx(row, abs=1e-4) for row in stock] == ours and ours[1][2] > 0
    assert (tmp_path / "run" / "adapter_model.safetensors").is_file()
    assert max(row["step"] for row in runs.metrics(tmp_path / "run")) == 2


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_both_families_train(inputs: Path, tmp_path: Path, family: str):
    run_sft(inputs, tmp_path / "sft", "--max_steps", 2, family=family)
    run_grpo(inputs, tmp_path / "sft", tmp_path / "grpo", "--beta", 0.04, "--max_steps", 2)
    assert (tmp_path / "grpo" / "adapter_model.safetensors").is_file()


@pytest.mark.slow
def test_grpo_starts_at_the_sft_policy(inputs: Path, sft: Path, tmp_path: Path):
    """The reference policy is the SFT model, whose dropout ended with SFT: no divergence before the first update."""
    model = shutil.copytree(sft, tmp_path / "sft")
    adapter = json.loads((model / "adapter_config.json").read_text())
    (model / "adapter_config.json").write_text(json.dumps({**adapter, "lora_dropout": 0.1}))
    run_grpo(inputs, model, tmp_path / "run", "--beta", 0.04, *MOVING)
    kl = [row["kl"] for row in runs.metrics(tmp_path / "run") if "kl" in row]
    assert kl[0] == pytest.approx(0.0, abs=1e-6)
    assert kl[-1] > 1e-6


@pytest.mark.slow
def test_twenty_steps_behind_a_shared_prefix_are_those_of_trl(inputs: Path, sft: Path, tmp_path: Path):
    for name in ("true", "false"):
        options = ("--beta", 0.04, "--max_steps", 20, *MOVING, "--learning_rate", 1e-3, "--shared_prefix", name)
        run_grpo(inputs, sft, tmp_path / name, *options)
    keys = ("loss", "kl", "entropy", "reward")
    ours, stock = (course(tmp_path / name, keys) for name in ("true", "false"))
    assert len(ours) == 20
    assert ours[0] != ours[-1], "the policy did not move: the comparison would prove nothing"
    assert [pytest.approx(row, abs=1e-4) for row in stock] == ours
    parts = {f"time/{part}" for part in ("rollout", "reward", "score", "update")}
    rows = [row for row in runs.metrics(tmp_path / "true") if "reward" in row]
    assert all(parts <= row.keys() and min(row[part] for part in parts) >= 0 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("adapter", ["continued", "fresh"])
def test_grpo_killed_and_resumed_gives_the_same_losses(inputs: Path, sft: Path, tmp_path: Path, adapter: str, beta):
    model = sft if adapter == "continued" else inputs / "qwen2_5_vl"
    groups = ("--group_columns", "skin_tone") if beta else ()
    files = ("--model", model, "--train_file", inputs / "rl.jsonl")
    options = (*files, *GRPO, "--beta", beta, "--save_steps", 1, "--max_steps", 7, *MOVING, *groups)
    epoch_two = (adapter == "continued") == (beta > 0)  # an epoch has four steps
    whole, killed = whole_and_killed("grpo.py", tmp_path, *options, after=5 if epoch_two else 2)
    keys = ("reward", "loss", "kl", "entropy")
    assert course(killed, keys) == course(whole, keys)
    entropies = [row["entropy"] for row in runs.metrics(killed) if "entropy" in row]
    assert len(set(entropies)) == 7, "the policy did not move: the comparison would prove nothing"


@pytest.mark.slow
def test_group_weights_survive_under_deepspeed(inputs: Path, sft: Path, tmp_path: Path):
    files = ("--model", sft, "--train_file", inputs / "rl.jsonl", "--group_columns", "skin_tone", "--group_rate", 5.0)
    deepspeed = ("--deepspeed", runs.ROOT / "recipes" / "deepspeed" / "zero2.json")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("rewards: {uneven_reward.uneven: 1.0}\n")  # which an untrained model earns
    options = ("--config", recipe, *files, *GRPO, *MOVING, *deepspeed)
    whole, killed = whole_and_killed("grpo.py", tmp_path, *options, "--save_steps", 1, "--max_steps", 4, after=2)
    names = tuple(f"group_weight/fitzpatrick {tone}" for tone in (1, 2, 3))
    assert course(killed, (*names, "loss")) == course(whole, (*names, "loss"))
    assert len({row[1] for row in course(whole, names)}) == 4, "the weights did not move"


@pytest.mark.slow
def test_sft_killed_and_resumed_gives_the_same_losses(inputs: Path, tmp_path: Path):
    files = ("--model", inputs / "qwen2_5_vl", "--train_file", inputs / "sft.jsonl")
    options = (*files, *SMALL, "--per_device_train_batch_size", 2, "--save_steps", 1, "--max_steps", 6)
    whole, killed = whole_and_killed("sft.py", tmp_path, *options, after=3)  # an epoch has two steps
    assert course(killed, ("loss",)) == course(whole, ("loss",))


def whole_and_killed(script: str, folder: Path, *options: object, after: int) -> tuple[Path, Path]:
    """Folders of a run of two processes, and of one that was killed after checkpoint ``after`` and started again."""
    whole, killed = folder / "whole", folder / "killed"
    runs.launch(script, *options, "--output_dir", whole, processes=2)
    kill_after_checkpoint(runs.torchrun(script, 2, *options, "--output_dir", killed), killed, after)
    runs.launch(script, *options, "--output_dir", killed, processes=2)
    return whole, killed


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "told"), [("sft", "worker"), ("grpo", "worker"), ("sft", "torchrun")])
def test_sigterm_saves_and_exits_0_and_the_run_goes_on(inputs: Path, sft: Path, tmp_path: Path, recipe: str, told: str):
    """Two processes, of which one is told, or torchrun, which ends with 1 itself: both stop after the same step."""
    model, rows = (inputs / "qwen2_5_vl", "sft") if recipe == "sft" else (sft, "rl")
    settings = (*SMALL, "--per_device_train_batch_size", 2) if recipe == "sft" else (*GRPO, *MOVING)
    files = ("--model", model, "--train_file", inputs / f"{rows}.jsonl", "--save_strategy", "no", "--max_steps", 8)
    runs.launch(f"{recipe}.py", *files, "--output_dir", tmp_path / "whole", *settings, processes=2)
    stopped = tmp_path / "stopped"
    command = runs.torchrun(f"{recipe}.py", 2, *files, "--output_dir", stopped, *settings)
    with runs.started(command) as process:
        log = stopped / "metrics.jsonl"
        while process.poll() is None and not (log.exists() and log.read_bytes()):
            time.sleep(0.02)
        os.kill(process.pid if told == "torchrun" else children(process.pid)[0], signal.SIGTERM)
        said = process.communicate(timeout=120)[0]
    assert process.returncode == (told == "torchrun") and "run the same command to go on" in said
    assert not (stopped / "manifest.json").exists() and len(list(stopped.glob("checkpoint-*"))) == 1
    runs.launch(f"{recipe}.py", *files, "--output_dir", stopped, *settings, processes=2)
    keys = ("loss", "reward", "entropy")
    assert course(stopped, keys) == course(tmp_path / "whole", keys)


def test_no_thread_of_gloo_outlives_a_run(inputs: Path, tmp_path: Path):
    """One that does can abort the process at its very end, after all is saved: seen once in 900 runs."""
    program, recipe = Path(__file__).with_name("then_threads.py"), runs.ROOT / "recipes/sft.py"
    files = ("--model", inputs / "qwen2_5_vl", "--train_file", inputs / "sft.jsonl", "--output_dir", tmp_path / "out")
    settings = (*SMALL, "--per_device_train_batch_size", 2, "--save_strategy", "no", "--max_steps", 1)
    said = runs.launch(str(program), recipe, *files, *settings, processes=2)
    assert said.count("threads of gloo left: 0") == 2


def children(pid: int) -> list[int]:
    """Process ids whose parent it is, oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill_after_checkpoint(command: list[str], output: Path, after: int) -> None:
    """kill -9 to the launcher and its processes as soon as that checkpoint is complete."""
    wanted = output / f"checkpoint-{after}"
    with runs.started(command) as process:
        while process.poll() is None and not (wanted.exists() and last_checkpoint(output, 2) == wanted):
            time.sleep(0.01)
    assert last_checkpoint(output, 2) == wanted
    assert not (output / "manifest.json").exists(), "it ended before it was killed"


def course(folder: Path, keys: tuple[str, ...]) -> list[tuple[float, ...]]:
    """Step and metrics of every log but the closing summary."""
    rows = [row for row in runs.metrics(folder) if "train_runtime" not in row]
    return [(row["step"], *(row[key] for key in keys if key in row)) for row in rows]


def test_a_finished_run_is_not_overwritten(inputs: Path, sft: Path):
    before = (sft / "manifest.json").read_bytes()
    with pytest.raises(AssertionError, match="folder holds a finished run"):
        run_sft(inputs, sft, "--learning_rate", 1e-4)
    assert (sft / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--max_prompt_length", 512, "was removed"),
        ("--learing_rate", 1e-4, "Did you mean 'learning_rate'"),
        ("--reward_preset", "nope", "unknown reward preset"),
        ("--max_prompt_tokens", 3, "every row is longer than 3 tokens"),
        ("--train_file", "nowhere.jsonl", "file not found: nowhere.jsonl"),
        ("--group_columns", "source", "only one group"),
        ("--steps_per_generation", 2, "save_steps 1 cuts through updates that share their completions"),
        ("--group_columns", "tone", "column 'tone' is missing"),
    ],
)
def test_bad_options_end_in_one_line(inputs: Path, sft: Path, tmp_path: Path, option: str, value: object, message: str):
    files = ("--model", sft, "--train_file", inputs / "rl.jsonl", "--output_dir", tmp_path / "run", "--save_steps", 1)
    with pytest.raises(UserError, match=message) as error:
        runs.program("grpo").main(list(map(str, (*files, *GRPO, option, value))))
    assert "\n" not in str(error.value)
