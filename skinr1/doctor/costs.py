"""The cost page: what training the real models should take, for one workload that is written beside it."""

from dataclasses import dataclass, field

from skinr1.doctor.estimates import (
    GPUS,
    Plan,
    Speed,
    fits,
    hours,
    memory,
    pairs_of,
    rollout_hours,
    scoring_flops,
    update_flops,
)
from skinr1.doctor.models import Model, model, names

COUNTS = (1, 2, 4, 8)
SHARE = 0.35  # of the GPU that vLLM takes in our GRPO recipes
PASSES = 2  # over the answers before an update: old policy (vLLM's correction) and reference (beta above 0)


@dataclass(frozen=True)
class Workload:
    """How much is trained on.

    Attributes:
        rows, row_tokens, epochs: of SFT.
        prompts, prompt_tokens, answers, answer_tokens: of GRPO, whose update sees a prompt once for all its answers.
    """

    rows: int = 5000
    row_tokens: int = 1200
    epochs: int = 4
    prompts: int = 24_000
    prompt_tokens: int = 600
    answers: int = 8
    answer_tokens: int = 400
    rank: int = 64
    speed: Speed = field(default_factory=Speed)

    @property
    def sft_tokens(self) -> int:
        return self.rows * self.row_tokens * self.epochs

    @property
    def group_tokens(self) -> int:
        """Tokens of a prompt with its answers, in one row of the update."""
        return self.prompt_tokens + self.answers * self.answer_tokens

    @property
    def grpo_tokens(self) -> int:
        return self.prompts * self.group_tokens


@dataclass(frozen=True)
class Cost:
    """One line of the page. ``flops`` are those of updates and of scoring before them; ``hours`` include rollouts."""

    model: str
    stage: str
    gpus: int
    tokens: int
    flops: float
    memory_gib: float
    fits: bool
    hours: float


def costs(gpu: str, work: Workload) -> list[Cost]:
    """Every known model, SFT and GRPO with a LoRA under ZeRO-2, on 1 to 8 GPUs of a kind."""
    return [cost for name in names() for gpus in COUNTS for cost in _of(model(name), gpus, gpu, work)]


def _of(made: Model, gpus: int, gpu: str, work: Workload) -> list[Cost]:
    kind = GPUS[gpu]
    sft = Plan(gpus, work.rank, work.row_tokens)
    grpo = Plan(gpus, work.rank, work.group_tokens, rollout_share=SHARE)
    rollouts = rollout_hours(
        made, work.prompts, work.prompt_tokens, work.answers, work.answer_tokens, grpo, kind, work.speed
    )
    steps = {
        "SFT": (sft, work.sft_tokens, work.rows * work.epochs * _row_flops(made, work), 0.0),
        "GRPO": (grpo, work.grpo_tokens, work.prompts * _step_flops(made, work), rollouts),
    }
    return [
        Cost(
            *(made.name, stage, gpus, tokens, flops, memory(made, plan, kind)["total"], fits(made, plan, kind)),
            hours(flops, gpus, kind, work.speed) + more,
        )
        for stage, (plan, tokens, flops, more) in steps.items()
    ]


def _row_flops(made: Model, work: Workload) -> float:
    """Of one row of SFT."""
    return update_flops(made, work.row_tokens, pairs_of(work.row_tokens, 0, 0), work.rank)


def _step_flops(made: Model, work: Workload) -> float:
    """Of one prompt with its answers."""
    tokens, pairs = work.group_tokens, pairs_of(work.prompt_tokens, work.answers, work.answer_tokens)
    return update_flops(made, tokens, pairs, work.rank) + scoring_flops(made, tokens, pairs, PASSES)


def markdown(gpu: str, work: Workload) -> str:
    """docs/costs.md."""
    lines = [
        "# What training should cost",
        "",
        f"Written by `skinr1 doctor --costs true --gpu {gpu} --format markdown`; a test keeps it up to date.",
        "Everything here is computed from the models' shapes, **nothing has been measured on a GPU**.",
        "",
        f"- SFT: {work.rows:,} rows of {work.row_tokens:,} tokens, {work.epochs} epochs.",
        f"- GRPO: {work.prompts:,} prompts of {work.prompt_tokens} tokens, {work.answers} answers of",
        f"  {work.answer_tokens} tokens each; vLLM on the same GPUs has {SHARE:.0%} of their memory.",
        f"- FLOPs: of the updates and, for GRPO, of {PASSES} passes of scoring before. The hours include rollouts.",
        f"- LoRA of rank {work.rank}, ZeRO-2, gradient checkpointing, answers behind one copy of their prompt.",
        f"- Assumed shares of peak: updates {work.speed.training:.0%}, prefill {work.speed.prefill:.0%}, decoding",
        f"  {work.speed.decoding:.0%} of the memory's bandwidth. Loading, saving and evaluation are not in the hours.",
        "",
        f"| model | stage | GPUs ({gpu}) | tokens | FLOPs | GiB a GPU | fits | hours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cost in costs(gpu, work):
        cells = (
            cost.model,
            cost.stage,
            str(cost.gpus),
            f"{cost.tokens / 1e6:.0f} M",
            f"{cost.flops:.2g}",
            f"{cost.memory_gib:.0f}",
            "yes" if cost.fits else "no",
            f"{cost.hours:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
