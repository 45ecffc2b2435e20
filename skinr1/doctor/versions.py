"""What is installed, against what the project asks for and was tested with."""

import importlib.metadata
import importlib.util
import platform
import shutil
from dataclasses import dataclass

from packaging.requirements import Requirement


@dataclass(frozen=True)
class Finding:
    """``state``: ok, missing or another version; ``needed`` for which extra (empty: always)."""

    what: str
    found: str
    wanted: str
    needed: str
    state: str


def packages() -> list[Finding]:
    """Every requirement of the project and of its extras, in order of the extras."""
    findings = []
    for text in importlib.metadata.requires("skinr1") or ():
        requirement = Requirement(text)
        if requirement.name == "skinr1":  # one extra that includes another
            continue
        extra = _extra(requirement)
        try:
            version = importlib.metadata.version(requirement.name)
            state = "ok" if requirement.specifier.contains(version, prereleases=True) else "another version"
        except importlib.metadata.PackageNotFoundError:
            version, state = "", "missing"
        findings.append(Finding(requirement.name, version, str(requirement.specifier) or "any", extra, state))
    return sorted(findings, key=lambda finding: (finding.needed, finding.what))


def _extra(requirement: Requirement) -> str:
    marker = str(requirement.marker or "")
    return marker.split('extra == "')[1].partition('"')[0] if 'extra == "' in marker else ""


def programs() -> list[Finding]:
    """Programs beside Python's packages, and the GPUs that torch sees."""
    wanted = (
        ("c++", "train", "DeepSpeed compiles an operator at its first start"),
        ("ninja", "train", "DeepSpeed compiles an operator at its first start"),
        ("nvidia-smi", "serve-gpu", "none is needed on a CPU"),
    )
    findings = [
        Finding(name, "yes" if shutil.which(name) else "", why, extra, "ok" if shutil.which(name) else "missing")
        for name, extra, why in wanted
    ]
    return [Finding("python", platform.python_version(), ">=3.11", "", "ok"), *findings, *_gpus()]


def _gpus() -> list[Finding]:
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return [
        Finding(f"GPU {number}", f"{entry.name}, {entry.total_memory / 2**30:.0f} GiB", "any", "", "ok")
        for number, entry in enumerate(found)
    ]
