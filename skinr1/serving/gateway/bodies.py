"""Reading a request's body: JSON within its depth and without a key twice, and forms without a file on the disk."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import jiter
from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from skinr1.serving.envelope import MAX_IMAGES, ReportRequest
from skinr1.serving.gateway.faults import Refused

_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
LISTS = frozenset({"symptoms"})
MAX_FIELDS = 64
# What people get wrong most, in fewer words than pydantic's.
_PLAIN = {"too_short": "nothing was given", "missing": "is missing", "int_parsing": "is not a whole number"}


def read_json(body: bytes, max_depth: int) -> Any:
    """The value of a JSON body.

    A key twice is refused: a checker and a server behind it could each read another of the two.

    Raises:
        Refused: no JSON, nested too deeply, NaN, or a key twice.
    """
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(body):
        sign = body[match.start()]
        depth += (sign in b"[{") - (sign in b"]}")
        if depth > max_depth:
            raise Refused(400, "json_depth", f"JSON is nested more than {max_depth} deep")
    try:
        return jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError:
        raise Refused(400, "json", "the body is not JSON, or holds a key twice") from None


def read_object(body: bytes, max_depth: int) -> dict[str, Any]:
    """As :func:`read_json`, of a JSON object."""
    value = read_json(body, max_depth)
    if not isinstance(value, dict):
        raise Refused(422, "field", "the body is not a JSON object")
    return value


async def read_request(request: Request, max_depth: int) -> ReportRequest:
    """A request for a report, from JSON or from a form.

    Raises:
        Refused: of another type, not readable, or a field is wrong.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return validated(read_object(await request.body(), max_depth))
    if kind == "multipart/form-data":
        return validated(await _form(request))
    raise Refused(415, "content_type", "send application/json or multipart/form-data")


def validated(fields: dict[str, Any]) -> ReportRequest:
    """Raises Refused with the first wrong field, and nothing of what stands in it."""
    try:
        return ReportRequest.model_validate(fields)
    except ValidationError as error:
        raise Refused(422, "field", first_fault(error)) from None


def first_fault(error: ValidationError) -> str:
    """Where and what, without the value."""
    return fault_words(error.errors(include_url=False, include_input=False, include_context=False)[0])


def fault_words(fault: Mapping[str, Any]) -> str:
    """One fault as pydantic lists it: where it is and what."""
    return f"{'.'.join(map(str, fault['loc'])) or 'body'}: {_PLAIN.get(fault['type'], fault['msg'])}"


async def read_form(request: Request) -> FormData:
    """A form, its files in memory: an upload still has its metadata, which must not reach the disk.

    Raises:
        Refused: not readable, or too many files or fields.
    """

    async def body() -> AsyncIterator[bytes]:
        yield await request.body()

    # mypy and Starlette disagree about async generators and iterators
    parser = MultiPartParser(request.headers, body(), max_files=MAX_IMAGES, max_fields=MAX_FIELDS)  # type: ignore[arg-type]
    parser.spool_max_size = len(await request.body()) + 1
    try:
        return await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError) as error:
        message = error.message if isinstance(error, MultiPartException) else "no readable form"
        raise Refused(400, "form", f"{message} (at most {MAX_IMAGES} files and {MAX_FIELDS} fields)") from None


async def _form(request: Request) -> dict[str, Any]:
    form = await read_form(request)
    fields: dict[str, Any] = {}
    images: list[bytes] = []
    modalities: list[str] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != "images":
                raise Refused(422, "field", "files go into the field `images`")
            images.append(await value.read())
        elif name == "modalities":
            modalities.append(value)
        elif name in LISTS:
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise Refused(422, "field", "a field is given twice")
        elif value:
            fields[name] = value
    if "images" in fields:
        raise Refused(422, "field", "images: send files, neither addresses nor paths")
    if modalities and len(modalities) != len(images):
        raise Refused(422, "field", "modalities: give one an image, empty where unknown, or none")
    known = modalities or [""] * len(images)
    fields["images"] = [{"data": data, "modality": kind or None} for data, kind in zip(images, known, strict=True)]
    return fields
