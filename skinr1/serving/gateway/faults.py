"""Why a request is not answered: one exception, one form, which is OpenAI's."""

from typing import Any, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel

STATUS_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: HTTP status; 4xx says that the request is at fault, 503 that it may be sent again.
        code: short machine-readable word, also the label in the metrics.
        message: one line for people, without anything of the request's content.
        retry_after: seconds after which to try again.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None):
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after
        super().__init__(message)

    def content(self) -> dict[str, Any]:
        """The body of the response, as OpenAI's clients read it."""
        kind = STATUS_TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}

    def response(self) -> JSONResponse:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            # programs send Bearer; this makes a browser ask, and the key goes in as the password
            headers["WWW-Authenticate"] = 'Basic realm="skinr1", charset="UTF-8"'
        return JSONResponse(self.content(), self.status, headers)


def unavailable(message: str = "the model is not ready") -> Refused:
    """The model's server is away: loading, restarting or gone."""
    return Refused(503, "unavailable", f"{message}; try again", retry_after=2)


class Fault(BaseModel):
    """What went wrong, in OpenAI's form."""

    message: str
    type: str
    param: None = None
    code: str


class FaultBody(BaseModel):
    """Every answer of 4xx and 5xx."""

    error: Fault


Documented = Literal[400, 401, 403, 404, 408, 413, 415, 422, 429, 431, 502, 503]
_MEANING: dict[int, str] = {
    400: "Not readable, or an image is refused",
    401: "No valid API key",
    403: "Not from here",
    404: "Not found",
    408: "The body came too slowly",
    413: "Larger than allowed",
    415: "A form of content that is not taken",
    422: "A field is wrong",
    429: "Too many requests; see Retry-After",
    431: "Headers larger than allowed",
    502: "The model's answer is not usable",
    503: "The model is not ready; see Retry-After",
}


def documented(*statuses: Documented) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the faults of an operation; those every operation has are included."""
    every: tuple[Documented, ...] = (401, 403, 431)
    return {status: {"model": FaultBody, "description": _MEANING[status]} for status in sorted({*every, *statuses})}
