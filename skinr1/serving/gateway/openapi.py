"""The description of the gateway's operations (OpenAPI) and its page, ``/docs``, from files on this machine."""

import importlib.util
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from skinr1.serving.envelope import ReportRequest
from skinr1.serving.gateway.batch import BatchRequest

REFERENCE = "#/components/schemas/{model}"
_SWAGGER = ("vllm", "entrypoints/serve/instrumentator/static")  # vLLM ships these files for servers without internet


def report_body() -> dict[str, Any]:
    """The two ways to send a request, for OpenAPI: JSON with base64, and a form with files."""
    own = ReportRequest.model_json_schema()["properties"]
    fields = {name: value for name, value in own.items() if name != "images"}
    form = {
        "type": "object",
        "properties": {
            "images": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1, "maxItems": 5},
            "modalities": {"type": "array", "items": {"enum": ["clinical", "dermoscopic", ""]}},
            **fields,
        },
        "required": ["images"],
    }
    whole = {"$ref": REFERENCE.format(model="ReportRequest")}
    content = {"application/json": {"schema": whole}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"content": content, "required": True}}


def describe(app: FastAPI) -> None:
    """Adds the bodies that the operations read themselves to the OpenAPI description."""
    described = app.openapi
    models: list[tuple[type[BaseModel], Literal["validation"]]] = [
        (ReportRequest, "validation"),
        (BatchRequest, "validation"),
    ]
    _, further = models_json_schema(models, ref_template=REFERENCE)

    def openapi() -> dict[str, Any]:
        schema = described()
        schema["components"]["schemas"].update(further["$defs"])
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"key": []}, {}]  # none is needed where only this machine may ask
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def add_page(app: FastAPI) -> None:
    """``/docs``, from files on this machine."""
    package, folder = _SWAGGER
    found = importlib.util.find_spec(package)
    static = Path(next(iter(found.submodule_search_locations or [""]))) / folder if found else None
    if static is None or not static.is_dir():

        @app.get("/docs", include_in_schema=False)
        async def plain() -> Response:
            return Response("The description is /openapi.json; its page needs vLLM on this machine.\n")

        return
    app.mount("/docs/static", StaticFiles(directory=static))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/docs/static/swagger-ui.css",
            swagger_favicon_url="data:,",
        )
