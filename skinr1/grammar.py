"""JSON Schema -> EBNF for exactly the bytes ``json.dumps(separators=(",", ":"))`` writes.

A server's own schema compiler lets whitespace run free inside a structural tag and writes an enumerated 0.7 as
0.69999999999999996 (xgrammar 0.2.8). This one is for the schemas this project generates: closed objects in
declared order, bounded arrays, enumerations, constants, patterned strings and alternatives of these; anything else is
refused.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_REGEX_PART = re.compile(r"\[[^]]+\]|\{\d+(?:,\d*)?\}|[()|?*+]|[^\\^$.{}\[\]]")


def json_ebnf(schema: Mapping[str, Any]) -> str:
    """An EBNF grammar (xgrammar dialect) whose start rule is ``root``.

    Raises:
        ValueError: the schema uses a feature that is not translated.
    """
    rules = {"root": _expression(schema)}
    rules |= {_rule(name): _expression(definition) for name, definition in schema.get("$defs", {}).items()}
    return "".join(f"{name} ::= {body}\n" for name, body in rules.items())


def longest_json(schema: Mapping[str, Any], definitions: Mapping[str, Any] | None = None) -> int:
    """UTF-8 bytes of the longest text the schema admits."""
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    if "$ref" in schema:
        return longest_json(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return max(longest_json(alternative, definitions) for alternative in schema["anyOf"])
    if values := _values(schema):
        return max(len(text.encode()) for text in values)
    if schema.get("type") == "object":
        parts = [len(_text(k).encode()) + 1 + longest_json(v, definitions) for k, v in schema["properties"].items()]
        return sum(parts) + len(parts) + 1
    if schema.get("type") == "array":
        return 1 + schema["maxItems"] * (longest_json(schema["items"], definitions) + 1)
    return 2 + _longest_match(schema["pattern"])


def _rule(name: str) -> str:
    return f"def_{name.lower()}"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _values(schema: Mapping[str, Any]) -> list[str]:
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    return [_text(value) for value in values]


def _expression(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _rule(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return f"({' | '.join(_expression(alternative) for alternative in schema['anyOf'])})"
    if values := _values(schema):
        return f"({' | '.join(map(_literal, values))})"
    if schema.get("type") == "object" and not schema.get("additionalProperties", True):
        if set(schema["required"]) != set(schema["properties"]):
            raise ValueError("optional property")
        fields = [f"{_literal(_text(name) + ':')} {_expression(value)}" for name, value in schema["properties"].items()]
        return '"{" ' + ' "," '.join(fields) + ' "}"'
    if schema.get("type") == "array" and "maxItems" in schema:
        item, least, most = _expression(schema["items"]), schema.get("minItems", 0), schema["maxItems"]
        some = f'{item} ("," {item}){{{max(least - 1, 0)},{most - 1}}}'
        return f'"[" {some} "]"' if least else f'"[" ({some})? "]"'
    if schema.get("type") == "string" and "pattern" in schema:
        return f'"\\"" {_pattern(schema["pattern"])} "\\""'
    raise ValueError(f"not translated: {_text(schema)[:120]}")


def _parts(pattern: str) -> list[str]:
    """Pieces of an anchored pattern of classes, groups, quantifiers and plain characters."""
    inner = pattern.removeprefix("^").removesuffix("$")
    parts = _REGEX_PART.findall(inner)
    if "".join(parts) != inner or not (pattern.startswith("^") and pattern.endswith("$")):
        raise ValueError(f"pattern not translated: {pattern}")
    return parts


def _pattern(pattern: str) -> str:
    out = ""
    for part in _parts(pattern):
        quantifier = part[0] in "{?*+"
        operator = quantifier or part[0] in "[()|"
        out += part if quantifier else f" {part if operator else _literal(part)}"
    return out.strip()


def _longest_match(pattern: str) -> int:
    """Characters of the longest match, groups counted as present; alternatives are summed, which bounds them."""
    total, last = 0, 0
    for part in _parts(pattern):
        if part[0] == "{":
            total += last * (int(part.strip("{}").rpartition(",")[2]) - 1)
        elif part[0] in "*+":
            raise ValueError(f"pattern has no longest match: {pattern}")
        elif part[0] not in "()|?":
            last = 1
            total += 1
        else:
            last = 0
    return total
