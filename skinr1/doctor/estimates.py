"""Memory, operations and hours of a training run, from shapes alone. Rules of thumb: none of this has been measured.

Sources. Bytes of mixed-precision training with Adam and their division by ZeRO: Rajbhandari et al., ZeRO (SC 2020),
section 3. Activations: Korthikanti et al., Reducing Activation Recomputation (MLSys 2023), section 4.1: 34 bytes a
token, hidden unit and layer without the attention matrix, which flash attention does not store. Operations: Kaplan et
al., Scaling Laws (2020), section 2.1: two a parameter and token forward, twice that backward.
"""

from dataclasses import dataclass

from skinr1.doctor.models import Model

GIB = 2**30
ACTIVATION = 34  # bytes a token, hidden unit and layer
RESERVE = 2.0  # GiB: CUDA context, NCCL buffers, fragmentation


@dataclass(frozen=True)
class Gpu:
    """``flops``: dense 16-bit operations a second; ``bandwidth``: bytes a second of its memory (vendors' sheets)."""

    memory_gib: float
    flops: float
    bandwidth: float


GPUS = {
    "h100-80": Gpu(80, 989e12, 3.35e12),
    "h200-141": Gpu(141, 989e12, 4.8e12),
    "a100-80": Gpu(80, 312e12, 2.0e12),
    "a100-40": Gpu(40, 312e12, 1.6e12),
    "rtx4090-24": Gpu(24, 165e12, 1.0e12),
}


@dataclass(frozen=True)
class Plan:
    """How a run is spread out.

    Attributes:
        rank: of the LoRA; 0 trains everything.
        tokens: of one process's rows in a forward pass, images included.
        zero: DeepSpeed's stage, 0, 2 or 3; with ``offload`` the optimizer's states lie in the host's memory.
        rollout_share: of the GPU's memory that vLLM takes on the same GPU; 0 without.
        rollout_parts: GPUs that vLLM splits the weights over.
        reference: whether a second model is kept beside one that is trained whole (GRPO with beta above 0).
    """

    gpus: int
    rank: int
    tokens: int
    zero: int = 2
    offload: bool = False
    checkpointing: bool = True
    rollout_share: float = 0.0
    rollout_parts: int = 1
    reference: bool = False


def memory(model: Model, plan: Plan, gpu: Gpu) -> dict[str, float]:
    """GiB of one GPU, by what takes them, with ``total``."""
    trained = model.trainable(plan.rank)
    parts = plan.gpus if plan.zero >= 2 else 1
    copies = 2 if plan.reference and not plan.rank else 1  # with an adapter the reference is the base below another
    weights = 2 * model.parameters * copies + (2 * trained if plan.rank else 0)
    kept = plan.tokens * model.hidden * (2 * model.layers + ACTIVATION)  # inputs of the layers, and one layer anew
    whole = plan.tokens * model.hidden * ACTIVATION * model.layers
    found = {
        "weights": weights / (plan.gpus if plan.zero == 3 else 1) / GIB,
        "gradients": 2 * trained / parts / GIB,
        "optimizer": 0.0 if plan.offload else 12 * trained / parts / GIB,
        "activations": (kept if plan.checkpointing else whole) / GIB,
        "vLLM": plan.rollout_share * gpu.memory_gib,
        "reserve": RESERVE,
    }
    return {**found, "total": sum(found.values())}


def update_flops(model: Model, tokens: int, pairs: float, rank: int, checkpointing: bool = True) -> float:
    """Operations of a forward and backward pass over one row of ``tokens``.

    Forward 2 a parameter, backward to the inputs 2, gradients of trained parameters 2; recomputation a forward more;
    attention as in :func:`attention_flops`, twice that backward.
    """
    forward = 2.0 * model.parameters * tokens
    gradients = 2.0 * model.trainable(rank) * tokens
    return forward * (2 + checkpointing) + gradients + attention_flops(model, pairs) * (3 + checkpointing)


def fits(model: Model, plan: Plan, gpu: Gpu) -> bool:
    """Whether a GPU holds all of it, and vLLM's share holds the weights and a gigabyte for keys and values."""
    holds = (
        not plan.rollout_share
        or plan.rollout_share * gpu.memory_gib >= 2 * model.parameters / plan.rollout_parts / GIB + 1
    )
    return holds and memory(model, plan, gpu)["total"] <= gpu.memory_gib


def attention_flops(model: Model, pairs: float) -> float:
    """Operations of attention in a forward pass: 4 a layer, hidden unit and pair of a token and one that it sees
    (Korthikanti et al., appendix A)."""
    return 4.0 * model.layers * model.hidden * pairs


def pairs_of(prompt: int, answers: int, answer: int) -> float:
    """Pairs of tokens where ``answers`` see one prompt and themselves; with none, of a row of ``prompt`` tokens."""
    return prompt**2 / 2 + answers * (answer * prompt + answer**2 / 2)


def scoring_flops(model: Model, tokens: int, pairs: float, passes: int) -> float:
    """Operations of ``passes`` forward passes over a row: old policy and reference of GRPO."""
    return passes * (2.0 * model.parameters * tokens + attention_flops(model, pairs))


@dataclass(frozen=True)
class Speed:
    """Shares of a GPU's peak that are assumed to be reached."""

    training: float = 0.35
    prefill: float = 0.4
    decoding: float = 0.5


def hours(flops: float, gpus: int, gpu: Gpu, speed: Speed) -> float:
    """Hours of so many operations of training."""
    return flops / (gpus * gpu.flops * speed.training) / 3600


def rollout_hours(
    model: Model, prompts: float, prompt: int, answers: int, answer: int, plan: Plan, gpu: Gpu, speed: Speed
) -> float:
    """Hours of sampling ``answers`` of ``answer`` tokens to each of ``prompts`` prompts of ``prompt`` tokens.

    Prefill is bound by operations. A step of decoding reads the weights once for all sequences that the cache holds,
    and the keys and values of each.
    """
    prefill = 2.0 * model.parameters * prompts * prompt / (gpu.flops * speed.prefill)
    weights = 2 * model.parameters
    room = max(1.0, plan.rollout_share * gpu.memory_gib * GIB - weights)
    together = max(1.0, min(prompts * answers / plan.gpus, room / (model.kv_bytes * (prompt + answer))))
    read = weights + together * model.kv_bytes * (prompt + answer / 2)
    decode = prompts * answers * answer / together * read / (gpu.bandwidth * speed.decoding)
    return (prefill + decode) / plan.gpus / 3600
