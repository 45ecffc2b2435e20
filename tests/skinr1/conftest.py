"""A gateway for the tests of what it refuses; a module with another one overrides ``url``."""

from collections.abc import Iterator

import pytest

from tests.skinr1.gateway_rig import STRICT, FakeVllm, gateway


@pytest.fixture(scope="module")
def fake() -> FakeVllm:
    """The vLLM behind it."""
    return FakeVllm()


@pytest.fixture(scope="module")
def url(fake: FakeVllm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; its limits are narrow."""
    with gateway(fake, tmp_path_factory.mktemp("gateway"), **STRICT) as address:
        yield address
