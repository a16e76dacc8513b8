"""Bad input is refused with the field, the limit and the nearest name; good input comes out as JSON, unchanged."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_inference.inputs.check import check_inputs, is_many
from celery_inference.specs.errors import InvalidInput, UnknownOption
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS

PNG = b"\x89PNG\r\n\x1a\n and the rest"


def spec(task: str, **values: Any) -> ModelSpec:
    return ModelSpec(name="one", task=task, source="/one", options=PIPELINE_TASKS[task].options, **values)


TEXT = spec("text-classification", max_characters=100, max_bytes=120, max_inputs=3)
IMAGE = spec("image-classification", max_bytes=1000)
CHAT = spec("text-generation", max_characters=100)
ZERO_SHOT = spec("zero-shot-classification")


def test_one_text_and_a_list_of_one_are_told_apart() -> None:
    assert check_inputs(TEXT, "a text") == check_inputs(TEXT, ["a text"]) == (["a text"], {})
    assert not is_many("a text")
    assert is_many(["a text"])
    assert not is_many([{"role": "user", "content": "a chat is one input"}])


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (5, "inputs must be a text, not int"),
        (None, "inputs must be a text, not NoneType"),
        (b"bytes", "inputs must be a text, not bytes"),
        ("  \n", "inputs is an empty text"),
        ([], "inputs is an empty list"),
        (["good", ""], r"inputs\[1\] is an empty text"),
        (["good", ["nested"]], r"inputs\[1\] must be a text, not list"),
        ("x" * 101, "inputs has 101 characters; at most 100 are allowed"),
        ("ü" * 61, "inputs has 122 bytes; at most 120 are allowed"),
        (["x"] * 4, "inputs has 4 inputs; at most 3 are allowed"),
        ("half \ud800 of a pair", "inputs has half a surrogate pair"),
    ],
)
def test_a_bad_text_is_refused_with_field_and_limit(value: object, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{sentence}"):
        check_inputs(TEXT, value)


def test_a_request_as_a_whole_must_fit_its_limit() -> None:
    one = spec("image-classification", max_request_bytes=240_000)
    for count in (1, 10):
        image = PNG + bytes(200_000 // count)
        with pytest.raises(InvalidInput, match=r"inputs has 2\d\d,\d\d\d bytes in a message; at most 240,000"):
            check_inputs(one, [image] * count)
    check_inputs(one, PNG + bytes(170_000))


def test_what_json_makes_longer_counts_as_it_is_sent() -> None:
    one = spec("text-classification", max_characters=70_000, max_request_bytes=240_000)
    check_inputs(one, "ü" * 65_000)
    with pytest.raises(InvalidInput, match="bytes in a message"):
        check_inputs(one, '"' * 65_000)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"top_k": 0}, "option top_k is 0; at least 1"),
        ({"top_k": 10**9}, "option top_k is 1000000000; at most 1000"),
        ({"top_k": "five"}, "option top_k must be an integer, not str"),
        ({"top_k": True}, "option top_k must be an integer, not bool"),
    ],
)
def test_an_option_out_of_its_bounds_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        check_inputs(TEXT, "a text", options)


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownOption, match=r'option "topk" is not known\. Did you mean "top_k"') as caught:
        check_inputs(TEXT, "a text", {"topk": 3})
    assert (caught.value.field, caught.value.nearest) == ("option", "top_k")


def test_labels_are_needed_for_zero_shot_and_bounded() -> None:
    with pytest.raises(InvalidInput, match="option candidate_labels is needed"):
        check_inputs(ZERO_SHOT, "a text")
    with pytest.raises(InvalidInput, match="option candidate_labels has 65 texts; at most 64"):
        check_inputs(ZERO_SHOT, "a text", {"candidate_labels": ["x"] * 65})
    with pytest.raises(InvalidInput, match="option candidate_labels has half a surrogate pair"):
        check_inputs(ZERO_SHOT, "a text", {"candidate_labels": ["cat", "\udfff"]})
    _, options = check_inputs(ZERO_SHOT, "a text", {"candidate_labels": ("cat", "dog")})
    assert options == {"candidate_labels": ["cat", "dog"]}


def test_labels_times_texts_are_bounded_where_each_alone_is_not() -> None:
    one = spec("zero-shot-classification", max_pairs=12)
    check_inputs(one, ["a text"] * 3, {"candidate_labels": ["a", "b", "c", "d"]})
    with pytest.raises(InvalidInput, match="inputs has 15 pairs of a label and an input; at most 12 are allowed"):
        check_inputs(one, ["a text"] * 3, {"candidate_labels": ["a", "b", "c", "d", "e"]})


def test_beams_times_new_tokens_are_bounded_where_each_alone_is_not() -> None:
    one = spec("text-generation", max_beam_tokens=200)
    check_inputs(one, "a text", {"num_beams": 2, "max_new_tokens": 100})
    for options in ({"num_beams": 8, "max_new_tokens": 26}, {"num_beams": 4}):
        with pytest.raises(InvalidInput, match=r"option num_beams has 2.. beams times new tokens; at most 200"):
            check_inputs(one, "a text", options)
    with pytest.raises(InvalidInput, match="option max_new_tokens has 300 beams times new tokens"):
        check_inputs(one, "a text", {"max_new_tokens": 300})


@pytest.mark.parametrize(
    ("task", "value"),
    [
        ("image-classification", [PNG, PNG + b"more"]),
        ("image-text-to-text", {"image": PNG, "text": 'what "is" \\ it?\n\u00fc'}),
        ("image-text-to-text", [{"role": "user", "content": [{"type": "image", "image": PNG}] * 2}]),
        ("text-classification", ['"quoted"', "\u00fc\n"]),
    ],
)
def test_a_request_is_measured_to_the_byte(task: str, value: object) -> None:
    rows, options = check_inputs(spec(task), value)
    size = len(json.dumps(json.dumps([rows, options], ensure_ascii=False), ensure_ascii=False).encode())
    assert check_inputs(spec(task, max_request_bytes=size), value)[0] == rows
    with pytest.raises(InvalidInput, match=f"inputs has {size} bytes in a message; at most {size - 1} are allowed"):
        check_inputs(spec(task, max_request_bytes=size - 1), value)


def test_base64_is_written_in_one_way_whoever_wrote_it() -> None:
    ours = base64.b64encode(PNG[:-1]).decode()
    assert ours.endswith("ZXM=")
    for one in (ours, ours.removesuffix("ZXM=") + "ZXN="):  # two bits that nobody reads
        assert check_inputs(IMAGE, one)[0] == [ours]


@pytest.mark.parametrize("value", [PNG, bytearray(PNG), base64.b64encode(PNG).decode()])
def test_an_image_comes_as_bytes_or_base64_and_leaves_as_base64(value: object) -> None:
    assert check_inputs(IMAGE, value)[0] == [base64.b64encode(PNG).decode()]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("http://localhost:1/cat.png", "addresses and paths are not opened"),
        ("/etc/passwd", "inputs is none of PNG, JPEG and WebP|addresses and paths are not opened"),
        ("../cat.png", "addresses and paths are not opened"),
        ("", "inputs is an empty image"),
        (b"GIF89a", "inputs is none of PNG, JPEG and WebP"),
        (PNG + bytes(1000), "inputs has 1,021 bytes; at most 1,000 are allowed"),
        (base64.b64encode(PNG + bytes(2000)).decode(), "bytes; at most 1,000 are allowed"),
        (5, "not int"),
        ([{"url": "http://localhost:1/cat.png"}], "not list|not dict"),
    ],
)
def test_no_text_but_base64_reaches_an_image_argument(value: object, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        check_inputs(IMAGE, value)


@pytest.mark.parametrize(
    "template", ["x", "{} and {}", "{:>999999999}", "{0.__class__} {}", "{{}} {}", "{}}", "{label} {}"]
)
def test_a_template_is_filled_in_and_not_run(template: str) -> None:
    for task in ("zero-shot-classification", "zero-shot-image-classification", "zero-shot-audio-classification"):
        with pytest.raises(InvalidInput, match=r"option hypothesis_template must have one \{\} where the label goes"):
            check_inputs(spec(task), "a text", {"candidate_labels": ["cat"], "hypothesis_template": template})


# Every option of every task that does nothing beside what another one says, or its default.
UNUSED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    *(
        ("text-generation", {name: value}, {"do_sample": True})
        for name, value in {"temperature": 0.5, "top_p": 0.5, "top_k": 5, "seed": 3}.items()
    ),
    *(
        ("image-segmentation", {name: 0.3, "subtask": "semantic"}, {"subtask": "instance"})
        for name in ("threshold", "mask_threshold", "overlap_mask_area_threshold")
    ),
]


@pytest.mark.parametrize(("task", "given", "remedy"), UNUSED, ids=[next(iter(case[1])) for case in UNUSED])
def test_an_option_that_another_one_makes_useless_is_refused(
    task: str, given: dict[str, Any], remedy: dict[str, Any]
) -> None:
    name, other = next(iter(given)), next(iter(remedy))
    value: object = PNG if task == "image-segmentation" else "a text"
    with pytest.raises(InvalidInput, match=f"option {name} is not used with {other}=.*: give another {other}, or"):
        check_inputs(spec(task), value, given)
    assert check_inputs(spec(task), value, {**given, **remedy})[1] == {**given, **remedy}


def test_every_option_that_needs_another_one_is_tried_above() -> None:
    needy = {
        (task, name)
        for task, kind in PIPELINE_TASKS.items()
        for name, option in kind.options.items()
        if option.unused_with
    }
    assert needy == {(task, next(iter(given))) for task, given, _ in UNUSED}


def test_what_the_catalogue_sets_decides_whether_an_option_is_used() -> None:
    options = dict(PIPELINE_TASKS["text-generation"].options)
    options["do_sample"] = replace(options["do_sample"], default=True)
    sampling = replace(CHAT, options=options)
    assert check_inputs(sampling, "a text", {"seed": 3})[1] == {"seed": 3}
    with pytest.raises(InvalidInput, match="option seed is not used with do_sample=False"):
        check_inputs(sampling, "a text", {"seed": 3, "do_sample": False})


@pytest.mark.parametrize(
    ("chat", "sentence"),
    [
        ([{"role": "user"}], r'inputs\[0\] must be \{"role"'),
        ([{"role": "usr", "content": "hello"}], 'role "usr" is not known. Did you mean "user"'),
        ([{"role": "user", "content": [{"type": "image", "url": "http://x"}]}], "must be a text, not list"),
        ([{"role": "user", "content": "x" * 60}, {"role": "user", "content": "x" * 60}], "has 120 characters"),
    ],
)
def test_a_bad_chat_is_refused(chat: object, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        check_inputs(CHAT, chat)


def test_a_system_message_may_be_empty() -> None:
    chat = [{"role": "system", "content": ""}, {"role": "user", "content": "Hello."}]
    assert check_inputs(CHAT, chat)[0] == [chat]


def test_a_chat_is_one_input_and_chats_are_many() -> None:
    chat = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello."}]
    assert check_inputs(CHAT, chat)[0] == [chat]
    assert check_inputs(CHAT, [chat, "a text"])[0] == [chat, "a text"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner),
    max_leaves=6,
)


@given(value=anything, options=st.dictionaries(st.sampled_from(["top_k", "seed", "x"]), anything, max_size=2))
@pytest.mark.parametrize("one", [TEXT, IMAGE, CHAT, ZERO_SHOT], ids=lambda one: one.task)
def test_anything_is_either_refused_or_checked_for_good(
    one: ModelSpec, value: object, options: dict[str, object]
) -> None:
    try:
        rows, given_options = check_inputs(one, value, options)
    except InvalidInput as error:
        refused = error
    else:
        sent = json.loads(json.dumps([rows, given_options]))
        assert check_inputs(one, *sent) == (rows, given_options)
        return
    assert [type(argument) for argument in refused.args] == [str]


PAIR = {"text": "a text", "text_pair": "another"}


def test_a_pair_of_texts_is_taken_where_the_pipeline_takes_one() -> None:
    assert check_inputs(spec("text-classification"), PAIR)[0] == [PAIR]
    assert check_inputs(spec("text-classification"), ["a text", PAIR])[0] == ["a text", PAIR]
    with pytest.raises(InvalidInput, match="must be a text, not dict"):
        check_inputs(spec("feature-extraction"), PAIR)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"text": "a text"}, '"text_pair" is missing'),
        ({"text": "a text", "text_pairs": "another"}, 'unknown part "text_pairs". Did you mean "text_pair"'),
        ({"text": "a text", "text_pair": ""}, "inputs text_pair is an empty text"),
        ({"text": 5, "text_pair": "another"}, "inputs text must be a text, not int"),
    ],
)
def test_a_pair_that_is_none_is_refused(value: object, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        check_inputs(spec("text-classification"), value)
