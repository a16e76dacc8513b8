"""The catalogue says what is wrong with it, where, and what was probably meant."""

from pathlib import Path

import pytest

from models.catalogue import DEFAULT_PATH, Catalogue, load
from models.errors import CatalogueError, UnknownModel
from models.spec import ModelSpec

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
    assert minilm.source == str(DEFAULT_PATH.parents[1] / "var" / "models" / "all-minilm-l6-v2")


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
    assert one.batch_size == one.kind.batch_size == 8
    option = one.options["max_new_tokens"]
    assert (option.default, option.minimum, option.maximum) == (7, 1, 9)
    assert one.kind.options["max_new_tokens"].maximum == 512


def test_faults_are_read_by_their_names(tmp_path: Path) -> None:
    one = spec(tmp_path, 'task = "fill-mask"\nsource = "./f"\n[one.faults]\nkill = "boom"\nraise = "oops"')
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
        ('task = "fill-mask"\nsource = "./f"\nbatch_size = 0', r"\[one\] batch_size: must be a number above 0"),
        ('task = "fill-mask"\nsource = "./f"\nbatch_size = true', r"\[one\] batch_size: must be a number above 0"),
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
