"""The requests behind the page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unroll
from tests.inference.play.running import Running, network, serving
from tests.tiny import forget_checksums, random_model, save_random_model
from unroll.data.prepared import PreparedData
from unroll.inference.explaining.explain import explain
from unroll.inference.play import app
from unroll.inference.predictor import Predictor

pytestmark = pytest.mark.xdist_group("play")  # the server is shared


def test_an_explanation_has_all_arrays(page_server: Running, reviews: PreparedData) -> None:
    status, found = page_server.explain("lstm", text="so very good")
    expected = explain(Predictor(random_model(reviews, "lstm")), "so very good")
    assert status == 200
    assert found["tokens"] == ["so", "very", "good"]
    assert found["label_names"] == reviews.label_names
    for name in ("probabilities", "prefix_log_odds", "contribution_changes", "sensitivity", "influence"):
        np.testing.assert_allclose(found[name], getattr(expected, name), rtol=1e-4, atol=1e-6)


def test_labelled_texts_have_squares(page_server: Running) -> None:
    _, found = page_server.explain("tagger", text="Ada met us")
    assert found["is_per_token"]
    assert np.shape(found["sensitivity"]) == np.shape(found["influence"]) == (3, 3)


def test_a_mean_over_texts_is_computed_once(page_server: Running, reviews: PreparedData) -> None:
    status, found, _ = page_server.ask("/sensitivity?model=elman")
    expected = unroll.sensitivity(Predictor(random_model(reviews, "elman")), reviews)
    assert status == 200
    assert found["distances"] == expected.distances.tolist()
    np.testing.assert_allclose(found["means"], expected.means, rtol=1e-4)
    assert page_server.ask("/sensitivity?model=elman")[1] == found


def test_without_data_the_mean_says_what_is_missing(page_server: Running) -> None:
    status, found, _ = page_server.ask("/sensitivity?model=topics")
    assert status == 422
    assert found == {
        "error": "topics: the prepared data of its training are not here; accepted: --data data/prepared/DATASET"
    }


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/explain?model=nothing", {"text": "a"}, 404, "model='nothing'; accepted: elman, lstm, tagger, topics, pairs"),
        ("/explain?model=lstm", {"text": ""}, 422, "text is empty: ''; accepted: text with at least one token"),
        ("/explain?model=lstm", {"texts": ["a", "b"]}, 413, "texts has 2 entries; accepted: at most 1 in a request"),
        ("/explain?model=lstm", {"text": 3}, 422, "text is 3; accepted: a string"),
        ("/explain?model=lstm", b"{", 400, "the body is not JSON: "),
        ("/explain?model=lstm", {"text": "a " * 201}, 413, "text has 201 tokens; accepted: at most 200"),
        ("/explain?model=lstm", {"text": "a" * 20_001}, 413, "text has 20001 characters; accepted: at most 20000"),
        ("/explain?model=lstm", b" " * 140_000, 413, "the body is too large; accepted: at most 131072 bytes"),
        ("/nothing", None, 404, "no such path; accepted: GET /, POST /explain"),
        ("/explain?model=lstm", None, 405, "method GET; accepted here: POST"),
    ],
)
def test_a_mistake_is_one_line(path: str, body: Any, status: int, message: str, page_server: Running) -> None:
    found, content, _ = page_server.ask(path, body)
    assert found == status
    assert content["error"].startswith(message)
    assert "\n" not in content["error"]


def test_another_content_type_which_other_sites_could_send_is_refused(page_server: Running) -> None:
    status, content, _ = page_server.ask("/explain?model=lstm", {"text": "a"}, kind="text/plain")
    assert (status, content["error"]) == (415, "Content-Type: text/plain; accepted: application/json")


def test_the_page_may_load_nothing_from_elsewhere(page_server: Running) -> None:
    status, content, headers = page_server.ask("/")
    assert status == 200
    assert headers["content-security-policy"] == app.POLICY
    assert "'self'" in app.POLICY and "http" not in app.POLICY
    assert "http://" not in content.replace("http://www.w3.org/2000/svg", "") and "https://" not in content


def test_a_model_that_is_damaged_later_is_one_line(reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(reviews, tmp_path / "model")
    damaged = network(folder)
    forget_checksums(folder)
    (folder / "weights.safetensors").write_bytes(b"nothing")
    with serving([damaged]) as server:
        status, found = server.explain(damaged.name, text="good")
    assert status == 422
    assert found["error"].startswith(f"the model in {folder} cannot be used")
