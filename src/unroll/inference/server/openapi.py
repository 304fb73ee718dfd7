"""The description of the server in OpenAPI, for the model that it serves."""

from typing import Any

from unroll.data.text import VISIBLE_CHARACTER
from unroll.data.tokens import Task
from unroll.inference.server.body import takes_tokens
from unroll.inference.server.options import ServerOptions

_VISIBLE = {"pattern": VISIBLE_CHARACTER}
_STRING = {"type": "string"}
_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
_ENTITY = {
    "type": "object",
    "properties": {
        "type": _STRING,
        "text": _STRING,
        **{key: {"type": "integer", "minimum": 0} for key in ("start", "end", "start_char", "end_char")},
        "probability": _PROBABILITY,
    },
}


def openapi(facts: dict[str, Any], options: ServerOptions) -> dict[str, Any]:
    """The description for the model that `ServedModel.facts` describes."""
    answer = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": _prediction(facts["task"], facts["labels"])}},
    }
    responses = {
        "200": _response("One prediction for each text, in their order.", answer),
        "400": _error("The body is not JSON, or the request is not valid HTTP."),
        "408": _error(f"The request was not complete within {options.timeout:g} s."),
        "413": _error("The body, the number of texts or a text is too long."),
        "415": _error("The content type is not application/json."),
        "422": _error("The body is JSON, but not what the model reads."),
        "503": _error("Too much waits for the model; Retry-After says for how many seconds."),
    }
    body = {"required": True, "content": {"application/json": {"schema": _request(facts, options)}}}
    predict = {"summary": "Predict labels", "requestBody": body, "responses": responses | {"401": _stranger()}}
    free: dict[str, Any] = {"security": []}
    kept = {"401": _stranger()}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"unroll: {facts['name']}", "version": facts["version"]},
        "security": [{}, {"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            "/predict": {"post": predict},
            "/health": {"get": free | _get("Whether the server is alive")},
            "/ready": {"get": free | _get("Whether it has a model and is not about to stop", {"503": _error("No.")})},
            "/models": {"get": _get("The model: name, version, task and labels", kept)},
            "/metrics": {"get": _get("Metrics in the format of Prometheus", kept, "text/plain")},
            "/openapi.json": {"get": _get("This description", kept)},
        },
    }


def _request(facts: dict[str, Any], options: ServerOptions) -> dict[str, Any]:
    """Any text is accepted if errors are coerced; otherwise each must have a character that is shown."""
    text: dict[str, Any] = {"type": "string", "maxLength": options.max_characters}
    word = {"type": "string", "minLength": 1, "maxLength": options.max_characters}
    words: dict[str, Any] = {"type": "array", "maxItems": options.max_tokens}
    raised = _forms(text | _VISIBLE, words | {"items": word, "minItems": 1, "contains": _VISIBLE}, facts, options)
    coerced = _forms(text, words | {"items": text}, facts, options)
    with_default = {"enum": ["raise"], "default": "raise"}
    return {
        "oneOf": [
            *(_object(form, list(form), with_default) for form in raised),
            *(_object(form, [*form, "errors"], {"enum": ["coerce"]}) for form in coerced),
        ]
    }


def _forms(
    text: dict[str, Any], words: dict[str, Any], facts: dict[str, Any], options: ServerOptions
) -> list[dict[str, Any]]:
    """The keys of each form of a request, but for `errors` and `probabilities`."""
    many = {"type": "array", "minItems": 1, "maxItems": options.max_texts}
    texts = many | {"items": text}
    if facts["is_pair"]:
        forms: list[dict[str, Any]] = [{"text": text, "text_pair": text}, {"texts": texts, "text_pairs": texts}]
    else:
        forms = [{"text": text}, {"texts": texts}]
    return [*forms, {"tokens": many | {"items": words}}] if takes_tokens(facts) else forms


def _object(form: dict[str, Any], required: list[str], errors: dict[str, Any]) -> dict[str, Any]:
    properties = form | {"errors": errors, "probabilities": {"type": "boolean", "default": False}}
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def _prediction(task: Task, labels: list[str]) -> dict[str, Any]:
    label: dict[str, Any] = {"enum": labels}
    words, of_words = {"type": "array", "items": _STRING}, {"type": "array", "items": _PROBABILITY}
    by_label = {"type": "object", "additionalProperties": _PROBABILITY}
    properties: dict[Task, dict[str, Any]] = {
        "classification": {"label": label, "probability": _PROBABILITY},
        "multilabel": {
            "labels": {"type": "array", "items": label},
            "probabilities": by_label,
        },
        "labeling": {
            "tokens": words,
            "labels": {"type": "array", "items": label},
            "entities": {"type": "array", "items": _ENTITY},
        },
        "tagging": {"tokens": words, "labels": {"type": "array", "items": label}},
    }
    asked = {"probabilities": by_label if task in ("classification", "multilabel") else of_words}
    # With "errors": "coerce", the values for a text that cannot be used are null.
    nullable = {key: {"anyOf": [value, {"type": "null"}]} for key, value in (asked | properties[task]).items()}
    return {"type": "object", "required": list(properties[task]), "properties": nullable}


def _get(summary: str, others: dict[str, Any] | None = None, kind: str = "application/json") -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _response(f"{summary}.", {}, kind), **(others or {})}}


def _response(description: str, schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _error(description: str) -> dict[str, Any]:
    return _response(description, {"type": "object", "required": ["error"], "properties": {"error": _STRING}})


def _stranger() -> dict[str, Any]:
    return _error("The server asks for a token, and there is none or a wrong one.")
