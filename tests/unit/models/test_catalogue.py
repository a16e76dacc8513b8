"""The catalogue says what is wrong with it, where, and what was probably meant."""

from pathlib import Path

import pytest

from celery_inference.catalogue.catalogue import DEFAULT_PATH, Catalogue, load
from celery_inference.catalogue.parser import KEYS
from celery_inference.specs.errors import CatalogueError, UnknownModel
from celery_inference.specs.model_spec import ModelSpec

FILL_MASK = 'task = "fill-mask"\nsource = "./f"\n'
REVISION = "0123456789abcdef0123456789abcdef01234567"


def read(tmp_path: Path, text: str) -> Catalogue:
    path = tmp_path / "models.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def spec(tmp_path: Path, lines: str) -> ModelSpec:
    return read(tmp_path, f"[one]\n{lines}").get("one")


def test_the_default_catalogue_serves_three_kinds() -> None:
    catalogue = load(DEFAULT_PATH)
    assert catalogue.names == ("all-minilm-l6-v2", "smollm2-135m-instruct", "efficientnet-lite0")
    assert catalogue.tasks == ("feature-extraction", "text-generation", "image-classification")
    minilm = catalogue.get("all-minilm-l6-v2")
    assert (minilm.pooling, minilm.normalize) == ("mean", True)
    assert minilm.source == str((DEFAULT_PATH.parents[1] / "var" / "models" / "all-minilm-l6-v2").resolve())


def test_a_folder_is_relative_to_the_catalogue(tmp_path: Path) -> None:
    one = spec(tmp_path, 'task = "fill-mask"\nsource = "./here"')
    assert one.source == str(tmp_path / "here")
    assert one.is_folder


def test_a_hub_id_keeps_its_revision(tmp_path: Path) -> None:
    one = spec(tmp_path, f'task = "fill-mask"\nsource = "org/model"\nrevision = "{REVISION}"')
    assert (one.source, one.revision, one.is_folder) == ("org/model", REVISION, False)


def test_the_kind_gives_the_defaults_and_the_spec_narrows_them(tmp_path: Path) -> None:
    one = spec(
        tmp_path,
        'task = "text-generation"\nsource = "./g"\n[one.options.max_new_tokens]\ndefault = 7\nmaximum = 9',
    )
    assert one.batch_size == one.pipeline_task.batch_size == 8
    option = one.options["max_new_tokens"]
    assert (option.default, option.minimum, option.maximum) == (7, 1, 9)
    assert one.pipeline_task.options["max_new_tokens"].maximum == 512


def test_what_an_operator_may_say_of_a_model_is_read(tmp_path: Path) -> None:
    one = spec(
        tmp_path,
        FILL_MASK + 'lane = "bulk.fifo"\ndeadline_seconds = 90\nmemory_bytes = 2_000_000_000\nisolate = true\n'
        'max_seconds = 12.5\nmax_pairs = 9\nmax_beam_tokens = 7\nmax_result_bytes = 1_000\ncontinuous = "off"\n'
        'example = "a [MASK]"\nexample_options = {top_k = 2}',
    )
    assert (one.lane, one.deadline_seconds, one.memory_bytes, one.isolate) == ("bulk.fifo", 90, 2_000_000_000, True)
    assert (one.max_seconds, one.max_pairs, one.max_beam_tokens, one.max_result_bytes) == (12.5, 9, 7, 1000)
    assert (one.continuous, one.example, one.example_options) == ("off", "a [MASK]", {"top_k": 2})
    assert not one.allow_unsafe


def test_a_model_may_live_elsewhere(tmp_path: Path) -> None:
    one = spec(tmp_path, FILL_MASK + 'endpoint = "fill-1"\nendpoint_batches = 2\nendpoint_objects = "s3://bucket/x/y"')
    assert (one.endpoint, one.endpoint_batches, one.endpoint_objects) == ("fill-1", 2, "s3://bucket/x/y")
    assert spec(tmp_path, FILL_MASK).endpoint is None


def test_more_new_tokens_raise_the_limit_on_beams_times_new_tokens(tmp_path: Path) -> None:
    source = 'task = "text-generation"\nsource = "./g"\n'
    assert spec(tmp_path, source).max_beam_tokens == 2048
    assert spec(tmp_path, source + "[one.options.max_new_tokens]\nmaximum = 9000").max_beam_tokens == 9000


def test_a_limit_on_beams_that_the_defaults_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"max_beam_tokens: is 10, and the defaults of the options come to 64"):
        spec(tmp_path, 'task = "text-generation"\nsource = "./g"\nmax_beam_tokens = 10')


def test_every_key_is_described() -> None:
    page = (DEFAULT_PATH.parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    described = {name for row in page.splitlines() if row.startswith("| `") for name in row.split("|")[1].split("`")}
    assert KEYS - described == set()


def test_faults_are_read_by_their_names(tmp_path: Path) -> None:
    one = spec(tmp_path, 'task = "fill-mask"\nsource = "./f"\n[one.faults]\nkill = "boom"\nfail = "oops"')
    assert (one.faults.kill, one.faults.hang, one.faults.fail) == ("boom", "", "oops")


def test_a_spec_survives_the_way_to_a_device_process(tmp_path: Path) -> None:
    one = spec(
        tmp_path,
        'task = "token-classification"\nsource = "./t"\nexample = "A text."\n[one.faults]\nhang = "stop"',
    )
    assert ModelSpec.from_json(one.as_json()) == one


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ('task = "fill-mask"\nsource = "./f"\nmax_token = 5', r'\[one\] max_token: .*mean "max_tokens"'),
        ('task = "fil-mask"\nsource = "./f"', r'\[one\] task: "fil-mask" .*mean "fill-mask"'),
        ('source = "./f"', r"\[one\] task: is missing"),
        ('task = "fill-mask"', r"\[one\] source: is missing"),
        ('task = "fill-mask"\nsource = "org/model"', r"\[one\] revision: .*40 hexadecimal"),
        ('task = "fill-mask"\nsource = "org/model"\nrevision = "main"', r"\[one\] revision: .*40 hexadecimal"),
        (f'task = "fill-mask"\nsource = "./f"\nrevision = "{REVISION}"', r"\[one\] revision: .*not to a folder"),
        ('task = "fill-mask"\nsource = "https://x/y"', r"\[one\] source: .*no Hugging Face id"),
        ('task = "fill-mask"\nsource = "./f"\ndtype = "float31"', r'\[one\] dtype: .*mean "float32"'),
        ('task = "fill-mask"\nsource = "./f"\npooling = "men"', r'\[one\] pooling: .*mean "mean"'),
        ('task = "fill-mask"\nsource = "./f"\nbatch_size = 0', r"\[one\] batch_size: must be a whole number above 0"),
        (
            'task = "fill-mask"\nsource = "./f"\nbatch_size = true',
            r"\[one\] batch_size: must be a whole number above 0",
        ),
        (FILL_MASK + 'memory_bytes = "2 GiB"', r"\[one\] memory_bytes: must be a whole number above 0, as 2_000_000"),
        (FILL_MASK + "max_result_bytes = 1.5", r"\[one\] max_result_bytes: must be a whole number"),
        (FILL_MASK + "max_bytes = 9223372036854775807", r"\[one\] max_bytes: must be a whole number"),
        (FILL_MASK + "max_seconds = inf", r"\[one\] max_seconds: must be a number above 0 and at most 1,209,600"),
        (FILL_MASK + "time_limit_seconds = nan", r"\[one\] time_limit_seconds: must be a number above 0"),
        (FILL_MASK + "deadline_second = 5", r'\[one\] deadline_second: .*mean "deadline_seconds"'),
        (FILL_MASK + "deadline_seconds = -1", r"\[one\] deadline_seconds: must be a number above 0"),
        (FILL_MASK + 'lane = "no queue!"', r"\[one\] lane: must be the name of a queue, not 'no queue!'"),
        (FILL_MASK + 'isolate = "yes"', r"\[one\] isolate: must be true or false"),
        (FILL_MASK + "continuous = true", r'\[one\] continuous: "True" is not served'),
        (FILL_MASK + 'continuous = "of"', r'\[one\] continuous: "of" is not served. Did you mean "off"'),
        (FILL_MASK + 'endpoint = "an endpoint"', r"\[one\] endpoint: must be the name of an endpoint"),
        (FILL_MASK + "endpoint_batches = 2", r"\[one\] endpoint_batches: belongs to a model with an endpoint"),
        (FILL_MASK + 'endpoint = "e"\nendpoint_batches = 65', r"\[one\] endpoint_batches: must be at most 64"),
        (
            FILL_MASK + 'endpoint = "e"\nendpoint_objects = "/tmp"',
            r"\[one\] endpoint_objects: must be the name of a place",
        ),
        (FILL_MASK + 'endpoints = "e"', r'\[one\] endpoints: .*mean "endpoint"'),
        (FILL_MASK + "task = 5", "cannot be read"),
        ('task = ["fill-mask"]\nsource = "./f"', r"\[one\] task: .* is not served"),
        (FILL_MASK + "allow_unsafe = true", r"\[one\] allow_unsafe: is no key of a catalogue"),
        (FILL_MASK + 'example = ""', r"\[one\] example: inputs is an empty text"),
        (FILL_MASK + 'example = ["a", "b"]', r"\[one\] example: must be one input, not a list"),
        (FILL_MASK + "example = 1979-05-27", r"\[one\] example: inputs must be a text, not date"),
        (FILL_MASK + 'example = "a"\nexample_options = {top_q = 5}', r'\[one\] example: option "top_q" is not known'),
        (FILL_MASK + "example_options = 5", r"\[one\] example_options: must be a table"),
        (FILL_MASK + "options = 5", r"\[one\] options: must be a table"),
        ('task = "fill-mask"\nsource = "./f"\nnormalize = 1', r"\[one\] normalize: must be true or false"),
        ('task = "fill-mask"\nsource = "./f"\n[one.options.topk]', r'options.topk: unknown option. .*mean "top_k"'),
        (
            'task = "fill-mask"\nsource = "./f"\n[one.options.top_k]\nmax = 3',
            r'options.top_k.max: unknown key. .*mean "maximum"',
        ),
        (
            'task = "fill-mask"\nsource = "./f"\n[one.options.top_k]\ndefault = 300',
            r"options.top_k.default: is 300; at most 100",
        ),
        (
            'task = "fill-mask"\nsource = "./f"\n[one.options.top_k]\nmaximum = "3"',
            r"options.top_k.maximum: must be a number, not '3'",
        ),
        ('task = "fill-mask"\nsource = "./f"\n[one.faults]\nkil = "x"', r'faults.kil: unknown key. .*mean "kill"'),
    ],
)
def test_a_wrong_key_is_named_with_what_was_meant(tmp_path: Path, lines: str, sentence: str) -> None:
    with pytest.raises(CatalogueError, match=sentence) as caught:
        spec(tmp_path, lines)
    assert str(tmp_path / "models.toml") in str(caught.value)


@pytest.mark.parametrize("text", ["", "[one", 'one = "no table"'])
def test_what_is_no_catalogue_is_refused_with_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(CatalogueError, match=r"models\.toml"):
        read(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="nowhere"):
        load(tmp_path / "nowhere.toml")


def test_two_defaults_for_a_task_are_refused(tmp_path: Path) -> None:
    table = '[{}]\ntask = "fill-mask"\nsource = "./f"\ndefault = true\n'
    with pytest.raises(CatalogueError, match="one and two are both the default for fill-mask"):
        read(tmp_path, table.format("one") + table.format("two"))


def test_models_are_found_by_name_and_by_task(tmp_path: Path) -> None:
    table = '[{}]\ntask = "fill-mask"\nsource = "./f"\n'
    catalogue = read(tmp_path, table.format("one") + table.format("two") + "default = true\n" + table.format("three"))
    assert catalogue.default_for("fill-mask").name == "two"
    assert catalogue.select(["three", "one"]).names == ("three", "one")
    with pytest.raises(UnknownModel, match=r'model "thre" is not known\. Did you mean "three"'):
        catalogue.get("thre")
    with pytest.raises(UnknownModel, match='no model serves "text-generation"'):
        catalogue.default_for("text-generation")
