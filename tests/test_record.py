from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from counterveil.errors import ImageBrokenError, UsageError
from counterveil.record import (
    Answer,
    CategoryResult,
    CounterfactualResult,
    Output,
    Outputs,
    Rationale,
    Record,
    Source,
    VeiledOutput,
    schema,
    utc_now,
    validate,
)
from counterveil.serialization import canonical_json
from counterveil.types import ModelInfo

SHA = "0123456789abcdef" * 4


def full() -> Record:
    counterfactual = CounterfactualResult(
        "found", 0.97, 0.1, 0.5, 3, 25, 2, 0.125, 0.025, True, True, 40, "fullgrad", "bass",
        "minimal", "black",
    )  # fmt: skip
    return Record(
        status="ok",
        profile="pictograms",
        source=Source("a/ü.gif", SHA, 64, 48, "GIF", 3, (0, 2), 2, ("frame 2 of 3",)),
        output_name="ü",
        created="2025-01-31T12:00:00.000Z",
        categories=(
            CategoryResult(
                "self_harm", 0.97, 0.5, True, counterfactual, "Self-harm", "pictograms:x"
            ),
            CategoryResult(
                "faces", 0.0, 0.5, False, CounterfactualResult.not_needed(0.0, target=0.5)
            ),
        ),
        rationale=Rationale(
            "Flagged.",
            "A mark.",
            (
                Answer("self_harm", "Any?", "Yes.", 0.9, 0.1, True),
                Answer("self_harm", "Else?", "", None, reason="refused"),
            ),
            {"self_harm": 1.0},
            "m",
            "Your image.",
        ),
        outputs=Outputs(VeiledOutput("a.veiled.png", SHA, "black"), Output("a.mask.png", SHA)),
        models=(ModelInfo("pictograms:x", "1", SHA), ModelInfo("python:a:b")),
        timing_ms={"search": 1.5, "attribution": 2},
        warnings=("Proxy scenes only.",),
    )


def test_round_trip_through_json_gives_an_equal_record():
    record = full()
    assert Record.from_dict(json.loads(record.to_json())) == record


def test_json_is_one_ascii_line_that_starts_with_the_version():
    text = full().to_json()
    assert "\n" not in text
    assert text.isascii()
    assert text.startswith('{"schema_version": "1.1", "status": "ok"')


def test_failed_input_gives_a_valid_error_record():
    error = ImageBrokenError("truncated\nafter 12 bytes")
    record = Record.from_error(Source("x.png"), error, profile="pictograms")
    validate(record.to_dict())
    assert (record.status, record.error) == ("error", "truncated after 12 bytes")
    assert Record.from_dict(record.to_dict()) == record


def test_an_error_without_words_is_named():
    assert Record.from_error(Source("x"), MemoryError(), profile="p").error == "MemoryError"


def change(path: str, value):
    plain = full().to_dict()
    *way, last = (int(key) if key.isdigit() else key for key in path.split("."))
    at = plain
    for key in way:
        at = at[key]
    at[last] = value
    return plain


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("categories.0.score", 1.5, r"\$\.categories\[0\]\.score"),
        ("categories.0.counterfactual.outcome", "maybe", r"counterfactual\.outcome"),
        ("outputs.veiled.sha256", "abc", r"outputs\.veiled\.sha256"),
        ("source.width", 0, r"source\.width"),
        ("error", "broken", r"\$\.error"),
        ("created", "yesterday", r"\$\.created"),
        ("schema_version", "2.0", "schema_version"),
        ("extra", 1, "extra"),
        ("timing_ms", {"search": -1}, "timing_ms"),
    ],
)
def test_what_breaks_the_schema_is_refused_with_its_place(path, value, place):
    with pytest.raises(UsageError, match=place):
        Record.from_dict(change(path, value))


def test_every_field_is_required():
    for key in schema()["properties"]:
        plain = full().to_dict()
        del plain[key]
        with pytest.raises(UsageError, match=key):
            validate(plain)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(number):
    record = dataclasses.replace(full(), timing_ms={"search": number})
    with pytest.raises(UsageError, match="NaN"):
        record.to_json()
    with pytest.raises(UsageError):
        validate(record.to_dict())
    with pytest.raises(UsageError):
        record.digest()


def test_an_error_record_cannot_claim_outputs():
    plain = full().to_dict() | {"status": "error", "error": "broken"}
    with pytest.raises(UsageError, match="outputs"):
        validate(plain)


def test_a_partial_record_may_do_without_an_error_but_an_error_record_may_not():
    validate(full().to_dict() | {"status": "partial"})
    with pytest.raises(UsageError, match="error"):
        validate(full().to_dict() | {"status": "error", "outputs": None})


def test_schema_is_a_schema_and_describes_every_field():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())
    assert set(schema()["properties"]) == {field.name for field in dataclasses.fields(Record)}


def test_digest_depends_on_values_not_on_writing():
    record = full()
    shuffled = dict(reversed(json.loads(record.to_json()).items()))
    shuffled["timing_ms"] = {"attribution": 2.0, "search": 1.5}
    assert Record.from_dict(shuffled).digest() == record.digest()
    assert dataclasses.replace(record, profile="hub").digest() != record.digest()


def test_digest_copes_with_names_that_are_no_utf8():
    source = Source("bad\udcff.png")
    record = Record.from_error(
        source, "broken", profile="pictograms", created="2025-01-31T12:00:00Z"
    )
    assert Record.from_dict(json.loads(record.to_json())).digest() == record.digest()


def test_canonical_keys_are_sorted_by_utf16():
    assert canonical_json({"\ufb33": 1, "\U0001f600": 2, "a": [True, None]}).decode() == (
        '{"a":[true,null],"\U0001f600":2,"\ufb33":1}'
    )


def test_now_fits_the_schema():
    validate(change("created", utc_now()))


def test_importing_records_loads_no_torch_and_no_jsonschema():
    code = "import sys, counterveil.record; print({'torch', 'jsonschema'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
