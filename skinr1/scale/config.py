"""The keys that every stage over cases shares."""

from dataclasses import dataclass, field

from skinr1.errors import UserError
from skinr1.scale.engines import ENGINES, Engine
from skinr1.scale.tables import FORMATS

# They decide no byte of what is written.
NO_BYTES = ("engine", "workers", "ray_address")


@dataclass
class ScaleConfig:
    """How a stage runs and in which form it writes."""

    format: str = field(default="jsonl", metadata={"help": f"Of the tables: {' or '.join(FORMATS)} (in shards)."})
    engine: str = field(default="local", metadata={"help": f"{' or '.join(ENGINES)}; the same bytes come out."})
    workers: int = field(default=1, metadata={"help": "Processes, or CPUs of a Ray started here."})
    ray_address: str | None = field(default=None, metadata={"help": "A running Ray cluster; null starts one here."})


def engine_of(config: ScaleConfig) -> Engine:
    """The engine that a configuration names. Raises UserError for an unknown engine or format, or too few workers."""
    if config.format not in FORMATS:
        raise UserError("unknown format", repr(config.format), f"Use {' or '.join(FORMATS)}.")
    return Engine(config.engine, config.workers, config.ray_address)
