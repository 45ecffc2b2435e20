"""What all tests share: no network, one thread, the real data where it lies beside the project."""

import os
from pathlib import Path

import httpx
import pytest

from skinr1.taxonomy import Taxonomy

# before any library reads them
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# httpx waits for 5 s unless told otherwise; a loaded machine may need longer to start a process that looks at an image
for part in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, part, 60.0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """../shared/data, or a skip that says so."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real data are not here: no folder ../shared/data beside the project")
    return folder


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    """The shipped tree."""
    return Taxonomy.load()
