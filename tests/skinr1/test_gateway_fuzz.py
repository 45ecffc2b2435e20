"""Whatever is sent to an operation of our OpenAPI, nothing answers with 5xx, and every status is a described one."""

from collections.abc import Iterator

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode

from tests.skinr1.gateway_rig import FakeVllm, gateway

OPERATIONS = [
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/tokenize"),
    ("POST", "/v1/reports"),
    ("POST", "/v1/reports/batch"),
    ("GET", "/v1/reports/batch/{job}"),
    ("GET", "/v1/reports/batch/{job}/results"),
    ("DELETE", "/v1/reports/batch/{job}"),
]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.schemas.BaseSchema]:
    with gateway(FakeVllm(), tmp_path_factory.mktemp("gateway")) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


def test_every_operation_is_fuzzed(schema: schemathesis.schemas.BaseSchema) -> None:
    described = [found.ok() for found in schema.get_all_operations()]
    assert sorted(OPERATIONS) == sorted((operation.method.upper(), operation.path) for operation in described)


# what has neither a body nor a number among its parameters cannot be asked wrongly
WRONG = [(method, path) for method, path in OPERATIONS if method == "POST" or path.endswith("results")]


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [(*operation, GenerationMode.POSITIVE) for operation in OPERATIONS]
    + [(*operation, GenerationMode.NEGATIVE) for operation in WRONG],
)
def test_no_5xx(schema: schemathesis.schemas.BaseSchema, method: str, path: str, mode: GenerationMode) -> None:
    operation = schema[path][method]
    described = operation.definition.raw["responses"].keys()

    every = list(hypothesis.HealthCheck)

    @hypothesis.settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=every)
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def call(case: schemathesis.Case) -> None:
        response = case.call(timeout=60)
        assert response.status_code < 500, response.text
        assert str(response.status_code) in described, response.text

    call()
