import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.inference.server.running import running
from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.inference.predictor import Predictor
from unroll.inference.server.openapi import openapi
from unroll.inference.server.options import ServerOptions
from unroll.inference.server.source import ServedModel

UNSEEN = [" ", "\u200b", "\u00ad\n", "\ufeff", "\U000e0041", "\x7f", "\x00"]
BODIES: list[dict[str, Any]] = [
    {"text": "a"},
    {"text": "a", "errors": "raise"},
    *({"text": text} for text in ["", *UNSEEN]),
    *({"text": text, "errors": "coerce"} for text in ["", *UNSEEN]),
    {"texts": ["a", "\U0001f600", "."]},
    {"texts": ["a", "\t"]},
    {"texts": ["a", "\t"], "errors": "coerce"},
    {"texts": []},
    {"texts": ["a"] * 1001},
    {"text": "a", "errors": None},
    {"text": 7, "errors": "coerce"},
    {"text": "a", "probabilities": True},
    {"text": "a", "probabilities": 1},
    {"tokens": [["a", "b"]]},
    {"tokens": [["a", "\u200b"], ["b"]]},
    {"tokens": [["\u200b"]]},
    {"tokens": [["a", ""]]},
    {"tokens": [[]]},
    {"tokens": [[], ["a", ""]], "errors": "coerce"},
    {"text": "a", "text_pair": "b"},
]


@pytest.mark.parametrize("task", ["classification", "labeling"])
def test_what_the_description_allows_is_what_the_server_answers(
    task: Task, prepared: dict[Task, PreparedData], tmp_path: Path
) -> None:
    folder = save_random_model(prepared[task], tmp_path / "model")
    predictor, served = Predictor.load(folder), ServedModel("tiny", "1", folder)
    schema = openapi(served.facts(), ServerOptions())["paths"]["/predict"]["post"]["requestBody"]["content"]
    described = jsonschema.Draft202012Validator(json.loads(json.dumps(schema))["application/json"]["schema"])
    with running(predictor, tmp_path / "facts") as server:
        server.service.serve(served, predictor)
        answered = [server.ask(body)[0] == 200 for body in BODIES]
    assert answered == [described.is_valid(body) for body in BODIES]
    assert {True, False} == set(answered)
