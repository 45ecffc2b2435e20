"""The gateway's client for programs: when it comes back."""

import httpx
import pytest

from skinr1 import client
from skinr1.errors import UserError
from tests.skinr1.envelopes import full
from tests.skinr1.gateway_rig import photo


def slept(monkeypatch: pytest.MonkeyPatch, *script: tuple[int, dict[str, str]]) -> list[float]:
    """The pauses of one request whose responses are played from a script of status and headers."""
    pauses, steps = [], iter(script)
    monkeypatch.setattr(client.time, "sleep", pauses.append)

    def handle(request: httpx.Request) -> httpx.Response:
        status, headers = next(steps)
        body = full().model_dump(mode="json") if status == 200 else {"error": {"message": "full"}}
        return httpx.Response(status, headers=headers, json=body)

    with client.Client("http://x", transport=httpx.MockTransport(handle)) as asking:
        assert asking.report([photo()]) == full()
    return pauses


def test_it_waits_as_long_as_the_gateway_asks(monkeypatch):
    assert slept(monkeypatch, (429, {"retry-after": "60"}), (503, {}), (200, {})) == [0.0, 60.0, 1.0]


def test_it_does_not_sleep_for_an_hour(monkeypatch):
    with pytest.raises(UserError, match="asks to wait 3600 s"):
        slept(monkeypatch, (429, {"retry-after": "3600"}))
