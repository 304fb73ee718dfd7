from unroll.tracking.registered import Registered


def test_the_versions_of_a_model_are_shown_with_their_aliases() -> None:
    found = Registered(["b", "a"], "a", [10, 9], {"champion": 9, "before": 9, "gone": 3})
    assert str(found) == "registered versions: 9 (before, champion), 10"
    assert found.uris == ["a@before", "a@champion"]


def test_a_model_without_aliases_is_named_by_its_versions() -> None:
    assert Registered(["a"], "a", [2, 1], {}).uris == ["models:/a/1", "models:/a/2"]
    assert str(Registered(["a"], "a", [], {})) == "registered versions: none"


def test_in_place_of_a_model_that_does_not_exist_all_are_shown() -> None:
    assert str(Registered(["b", "a"], "c", [], {})) == "registered models: a, b"
    assert str(Registered([], "c", [], {})) == "registered models: none"
