import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from tests.inference.server.running import Lengths, Running, in_thread, running, served, until
from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.inference.predictor import Predictor
from unroll.inference.server.body import Refused
from unroll.inference.server.openapi import openapi
from unroll.inference.server.options import ServerOptions
from unroll.inference.server.source import ServedModel


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def server(shared_folder: Path) -> Iterator[Running]:
    with running(Lengths(), shared_folder / "lengths", max_tokens=50, max_body=100_000) as it:
        yield it


def test_one_text_gets_a_list_of_one_prediction(server: Running) -> None:
    status, content, headers = server.ask({"text": "good"})

    assert (status, content) == (200, {"predictions": [{"label": "short"}]})
    assert headers["x-model-version"] == "1"


def test_texts_get_their_predictions_in_order(server: Running) -> None:
    texts = ["a" * (n % 17 + 1) for n in range(200)]

    content = server.ask({"texts": texts})[1]

    assert [it["label"] for it in content["predictions"]] == ["long" if len(it) > 9 else "short" for it in texts]


def test_a_text_without_tokens_is_refused_or_null(server: Running) -> None:
    status, content, _ = server.ask({"texts": ["good", ""]})
    coerced = server.ask({"texts": ["good", ""], "errors": "coerce"})[1]

    assert (status, content["error"].partition(";")[0]) == (422, "texts[1] has no token that the model reads")
    assert coerced == {"predictions": [{"label": "short"}, {"label": None}]}


def test_a_text_of_too_many_tokens_is_refused_by_their_exact_number(server: Running) -> None:
    assert server.ask({"text": "a " * 50})[0] == 200
    assert server.ask({"text": "a " * 51})[1] == {"error": "text has 51 tokens; accepted: at most 50"}


def test_another_content_type_is_refused(server: Running) -> None:
    status, content, _ = server.ask(b"{}", headers={"content-type": "application/x-www-form-urlencoded"})

    assert (status, content["error"]) == (
        415,
        "Content-Type: application/x-www-form-urlencoded; accepted: application/json",
    )


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_may_be_written_in_other_ways(server: Running, kind: str) -> None:
    assert server.ask({"text": "a"}, headers={"content-type": kind})[0] == 200


def test_unknown_paths_and_methods_are_refused_with_what_is_accepted(server: Running) -> None:
    status, content, _ = server.ask(path="/predictions")
    assert status == 404 and "POST /predict" in content["error"]

    status, content, headers = server.ask(path="/predict")
    assert (status, content["error"], headers["allow"]) == (405, "method GET; accepted here: POST", "POST")


def test_it_is_alive_ready_and_names_its_model(server: Running) -> None:
    assert server.ask(path="/health")[:2] == (200, {"status": "alive"})
    assert server.ask(path="/ready")[:2] == (200, {"status": "ready", "model": "lengths", "version": "1"})
    models = server.ask(path="/models")[1]["models"]
    assert [(it["name"], it["version"], it["task"], it["labels"]) for it in models] == [
        ("lengths", "1", "classification", ["long", "short"])
    ]


def test_a_stopping_server_is_not_ready(tmp_path: Path) -> None:
    model = Lengths()
    with running(model, tmp_path / "m") as server, server.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        server.service.is_draining = lambda: True
        assert server.ask(path="/ready")[:2] == (503, {"error": "the server is about to stop"})


def test_before_the_model_is_loaded_it_is_not_ready() -> None:
    from unroll.inference.server.app import Service

    with pytest.raises(Refused, match="not loaded yet"):
        Service(ServerOptions()).present()


def test_the_request_id_of_the_client_is_kept_if_it_is_a_plain_word(server: Running) -> None:
    assert server.ask({"text": "a"}, headers={"x-request-id": "job-7.a"})[2]["x-request-id"] == "job-7.a"
    assert re.fullmatch("[0-9a-f]{32}", server.ask({"text": "a"})[2]["x-request-id"])
    assert re.fullmatch("[0-9a-f]{32}", server.ask(b"", headers={"x-request-id": 'a" b'})[2]["x-request-id"])


def test_errors_are_logged_with_their_request_id(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "unroll.server"), running(Lengths(), tmp_path / "m") as server:
        server.ask({"text": "a"}, headers={"x-request-id": "fine"})
        server.ask({"text": 7}, headers={"x-request-id": "wrong"})
    lines = [it.getMessage() for it in caplog.records]
    assert [line for line in lines if re.fullmatch(r"wrong 127\.0\.0\.1 POST /predict 422 [\d.]+ ms", line)]
    assert not [line for line in lines if line.startswith("fine")]


def test_a_bug_is_answered_without_its_message_and_logged_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(Lengths(), tmp_path / "m") as server:
        status, content, _ = server.ask({"text": "broken"}, headers={"x-request-id": "seven"})
        assert (status, content) == (500, {"error": "internal error; request id seven"})
        assert server.ask({"text": "a"})[0] == 200
    assert "/the/house" in caplog.text


def test_a_wrong_or_missing_token_is_refused_except_for_probes(tmp_path: Path) -> None:
    with running(Lengths(), tmp_path / "m", token="a secret word".replace(" ", "-")) as server:
        for given in ({}, {"authorization": "Bearer other"}, {"authorization": "Basic a-secret-word"}):
            status, content, headers = server.ask({"text": "a"}, headers=given)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert "Authorization: Bearer" in content["error"]
        for path in ("/models", "/metrics", "/openapi.json"):
            assert server.ask(path=path)[0] == 401
        for path in ("/health", "/ready"):
            assert server.ask(path=path)[0] == 200
        for scheme in ("Bearer", "bearer"):
            assert server.ask({"text": "a"}, headers={"authorization": f"{scheme} a-secret-word"})[0] == 200


def test_a_full_queue_is_answered_with_503_and_a_time(tmp_path: Path) -> None:
    model = Lengths()
    with running(model, tmp_path / "m", max_queue=1) as server:
        model.gate.clear()
        first = in_thread(lambda: server.ask({"text": "a"}))
        model.entered.wait()
        status, content, headers = server.ask({"text": "b"})
        assert status == 503 and int(headers["retry-after"]) >= 1 and "try again" in content["error"]
        assert server.ask(path="/health")[0] == 200
        model.gate.set()
        assert first()[0] == 200


def test_another_model_answers_what_arrives_after_it_was_loaded(tmp_path: Path) -> None:
    old, new = Lengths(), Lengths()
    with running(old, tmp_path / "m") as server:
        old.gate.clear()
        first = in_thread(lambda: server.ask({"text": "a"}))
        old.entered.wait()
        server.service.serve(served(tmp_path / "other", version="2"), new)
        second = in_thread(lambda: server.ask({"text": "b"}))
        until(lambda: server.service.batcher.queued >= 2)  # both are accepted
        old.gate.set()
        assert [it()[2]["x-model-version"] for it in (first, second)] == ["1", "2"]
        page = server.ask(path="/metrics")[1]
    assert (old.batches, new.batches) == ([["a"]], [["b"]])
    assert 'unroll_model_workers{name="lengths",version="1"} 0.0' in page
    assert 'unroll_model_workers{name="lengths",version="2"} 1.0' in page


def test_metrics_count_requests_texts_and_batches(tmp_path: Path) -> None:
    with running(Lengths(), tmp_path / "m") as server:
        server.ask({"texts": ["a", "b"]})
        server.ask({"text": 7})
        server.ask(path="/any/thing")
        page = server.ask(path="/metrics")[1]
    for line in (
        'unroll_requests_total{path="/predict",status="200"} 1.0',
        'unroll_requests_total{path="/predict",status="422"} 1.0',
        'unroll_requests_total{path="other",status="404"} 1.0',
        "unroll_texts_total 2.0",
        "unroll_batch_texts_count 1.0",
        "unroll_predict_seconds_count 2.0",
        "unroll_waiting_tokens 0.0",
        "unroll_connections 1.0",
    ):
        assert f"\n{line}\n" in page


@pytest.mark.parametrize("task", ["classification", "multilabel", "labeling", "tagging"])
@pytest.mark.parametrize("changed", [{}, {"is_pair": True}])
def test_the_description_is_valid_openapi(task: Task, changed: dict[str, Any]) -> None:
    facts = {
        "name": "m",
        "version": "1",
        "task": task,
        "labels": ["a"],
        "is_pair": False,
        "given_tokens": False,
    } | changed
    validate(json.loads(json.dumps(openapi(facts, ServerOptions()))))


@pytest.mark.parametrize("task", ["classification", "labeling", "multilabel"])
def test_answers_are_those_of_the_predictor_and_fit_the_description(
    task: Task, prepared: dict[Task, PreparedData], tmp_path: Path
) -> None:
    folder = save_random_model(prepared[task], tmp_path / "model")
    predictor = Predictor.load(folder)
    texts = ["Not very good today.", "Ada Brown met us in Paris, so warm!", "vote", "old \0 \U0001f600"]
    expected = predictor.predict(texts)
    with running(predictor, tmp_path / "facts") as server:
        server.service.serve(ServedModel("tiny", "1", folder), predictor)
        found = server.ask({"texts": texts})[1]
        coerced = server.ask({"texts": ["", *texts], "errors": "coerce"})[1]
        full = server.ask({"texts": ["", *texts], "errors": "coerce", "probabilities": True})[1]
        described = server.ask(path="/openapi.json")[1]
        if task == "labeling":
            tokens = server.ask({"tokens": [["Ada", "met", "us"]]})[1]["predictions"]
            assert tokens == json.loads(json.dumps(predictor.predict([["Ada", "met", "us"]])))
    schema = described["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    for answer in (found, coerced, full):
        jsonschema.validate(answer, schema)
    assert _rounded(found["predictions"]) == _rounded(expected)
    assert set(coerced["predictions"][0].values()) == {None}
    assert _rounded(coerced["predictions"][1:]) == _rounded(expected)
    assert full["predictions"][0].keys() == full["predictions"][1].keys()
    assert _rounded(full["predictions"][1:]) == _rounded(predictor.predict(texts, probabilities=True))


def _rounded(value: Any) -> Any:
    """Batches differ in their padding, and sums in their last digits."""
    if isinstance(value, float):
        return pytest.approx(value, abs=1e-5)
    if isinstance(value, dict):
        return {key: _rounded(it) for key, it in value.items()}
    return [_rounded(it) for it in value] if isinstance(value, list) else value
