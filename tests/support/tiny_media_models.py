"""Tiny random models that see, hear, speak or read documents, for `tests.support.tiny_models.make`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
_VIT: dict[str, Any] = {**_SMALL, "image_size": 32, "patch_size": 8, "initializer_range": 0.3}
_LABELS = {i: f"class {i}" for i in range(10)}
_SIDE = {"height": 32, "width": 32}
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"etaonihsr"]


def image_classification(folder: Path, **config: Any) -> None:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    ViTForImageClassification(ViTConfig(**_VIT, id2label=_LABELS, **config)).save_pretrained(folder)
    ViTImageProcessorPil(size=_SIDE).save_pretrained(folder)


def image_feature_extraction(folder: Path, **config: Any) -> None:
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    ViTModel(ViTConfig(**_VIT, **config)).save_pretrained(folder)
    ViTImageProcessorPil(size=_SIDE).save_pretrained(folder)


def image_segmentation(folder: Path, **config: Any) -> None:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessorPil

    settings = SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[4, 2],
        hidden_sizes=[16, 32],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=16,
        id2label={0: "sky", 1: "ground", 2: "tree"},
        **config,
    )
    SegformerForSemanticSegmentation(settings).save_pretrained(folder)
    SegformerImageProcessorPil(size=_SIDE).save_pretrained(folder)


def object_detection(folder: Path, **config: Any) -> None:
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessorPil

    settings = YolosConfig(
        **{**_VIT, "image_size": [32, 32]}, num_detection_tokens=5, id2label={0: "cat", 1: "dog"}, **config
    )
    YolosForObjectDetection(settings).save_pretrained(folder)
    YolosImageProcessorPil(size={"shortest_edge": 32, "longest_edge": 64}).save_pretrained(folder)


def depth_estimation(folder: Path, **config: Any) -> None:
    from transformers import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessorPil

    settings = GLPNConfig(
        num_encoder_blocks=4,
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 8, 8],
        num_attention_heads=[1, 1, 1, 1],
        mlp_ratios=[2, 2, 2, 2],
        decoder_hidden_size=8,
        **config,
    )
    GLPNForDepthEstimation(settings).save_pretrained(folder)
    GLPNImageProcessorPil(size_divisor=32).save_pretrained(folder)


def zero_shot_image_classification(folder: Path, **config: Any) -> None:
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    tokenizer = _tokenizer(folder)
    text = {
        **_SMALL,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 128,
        "eos_token_id": tokenizer.sep_token_id,
    }
    CLIPModel(CLIPConfig(text_config=text, vision_config=_VIT, projection_dim=16, **config)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=_SIDE).save_pretrained(folder)


def zero_shot_object_detection(folder: Path, **config: Any) -> None:
    from transformers import OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessorPil

    tokenizer = _tokenizer(folder)
    text = {**_SMALL, "vocab_size": len(tokenizer), "max_position_embeddings": 128}
    settings = OwlViTConfig(text_config=text, vision_config=_VIT, projection_dim=32, **config)
    OwlViTForObjectDetection(settings).save_pretrained(folder)
    OwlViTImageProcessorPil(size=_SIDE, crop_size=_SIDE).save_pretrained(folder)


def keypoint_matching(folder: Path, **config: Any) -> None:
    from transformers import SuperGlueConfig, SuperGlueForKeypointMatching, SuperGlueImageProcessorPil

    settings = SuperGlueConfig(
        keypoint_detector_config={
            "model_type": "superpoint",
            "encoder_hidden_sizes": [8, 8, 16, 16],
            "decoder_hidden_size": 16,
            "descriptor_decoder_dim": 16,
            "keypoint_threshold": 0.0,
            "max_keypoints": 20,
            "border_removal_distance": 2,
        },
        hidden_size=16,
        keypoint_encoder_sizes=[8, 16],
        gnn_layers_types=["self", "cross"],
        num_attention_heads=4,
        sinkhorn_iterations=5,
        **config,
    )
    SuperGlueForKeypointMatching(settings).save_pretrained(folder)
    SuperGlueImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)


def document_question_answering(folder: Path, **config: Any) -> None:
    from transformers import LayoutLMConfig, LayoutLMForQuestionAnswering

    tokenizer = _tokenizer(folder)
    settings = LayoutLMConfig(
        **_SMALL, vocab_size=len(tokenizer), max_position_embeddings=128, initializer_range=0.5, **config
    )
    LayoutLMForQuestionAnswering(settings).save_pretrained(folder)


def image_text_to_text(folder: Path, *, chat: bool = False, **config: Any) -> None:
    from transformers import (
        CLIPImageProcessorPil,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = _tokenizer(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    image = tokenizer.convert_tokens_to_ids("<image>")
    text = {"model_type": "llama", **_SMALL, "vocab_size": len(tokenizer), "max_position_embeddings": 256}
    text |= {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "initializer_range": 0.5}
    settings = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **_VIT},
        text_config=text,
        image_token_index=image,
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
        **config,
    )
    LlavaForConditionalGeneration(settings).save_pretrained(folder)
    template = (
        "{% for m in messages %}{{ m['role'] }}: {% for p in m['content'] %}"
        "{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endfor %}"
    )
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=_SIDE),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template if chat else None,
    ).save_pretrained(folder)


def video_classification(folder: Path, **config: Any) -> None:
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEImageProcessorPil

    settings = VideoMAEConfig(**_VIT, num_frames=4, tubelet_size=2, id2label=_LABELS, **config)
    VideoMAEForVideoClassification(settings).save_pretrained(folder)
    VideoMAEImageProcessorPil(size={"shortest_edge": 32}, crop_size=_SIDE).save_pretrained(folder)


def table_question_answering(folder: Path, **config: Any) -> None:
    from transformers import TapasConfig, TapasForQuestionAnswering, TapasTokenizer

    from tests.support.tiny_models import WORDS

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "[EMPTY]",
        *WORDS,
        "?",
        *"0123456789",
        *(f"##{i}" for i in range(10)),
    ]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    tokenizer = TapasTokenizer(folder / "vocab.txt", model_max_length=128)
    tokenizer.save_pretrained(folder)
    settings = TapasConfig(
        **_SMALL,
        vocab_size=len(tokenizer),
        max_position_embeddings=128,
        num_aggregation_labels=2,
        aggregation_labels={0: "NONE", 1: "SUM"},
        no_aggregation_label_index=0,
        initializer_range=0.5,
        **config,
    )
    TapasForQuestionAnswering(settings).save_pretrained(folder)


def text_to_audio(folder: Path, **config: Any) -> None:
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    letters = {letter: i for i, letter in enumerate([*" abcdefghijklmnopqrstuvwxyz", "_"])}
    (folder / "vocab.json").write_text(json.dumps(letters))
    VitsTokenizer(
        folder / "vocab.json", phonemize=False, is_uroman=False, pad_token="_", unk_token="_"
    ).save_pretrained(folder)
    settings = VitsConfig(
        vocab_size=len(letters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=32,
        flow_size=16,
        spectrogram_bins=33,
        upsample_initial_channel=32,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        duration_predictor_num_flows=2,
        duration_predictor_filter_channels=16,
        prior_encoder_num_flows=1,
        prior_encoder_num_wavenet_layers=1,
        posterior_encoder_num_wavenet_layers=1,
        wavenet_dilation_rate=1,
        sampling_rate=8000,
        **config,
    )
    VitsModel(settings).save_pretrained(folder)


def _wav2vec2(**config: Any) -> Any:
    from transformers import Wav2Vec2Config

    return Wav2Vec2Config(
        **{
            **_SMALL,
            "vocab_size": len(LETTERS),
            "conv_dim": (16, 16, 16),
            "conv_kernel": (10, 3, 3),
            "conv_stride": (5, 4, 4),
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
            "feat_extract_norm": "layer",
            "conv_bias": True,
            "pad_token_id": 0,
            "initializer_range": 0.5,
            "classifier_proj_size": 16,
            "apply_spec_augment": False,
            **config,
        }
    )


def _feature_extractor(folder: Path) -> None:
    from transformers import Wav2Vec2FeatureExtractor

    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)


def speech_recognition(folder: Path, *, whisper: bool = False, **config: Any) -> None:
    if whisper:
        _whisper(folder, **config)
        return
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC

    (folder / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(LETTERS)}))
    Wav2Vec2CTCTokenizer(folder / "vocab.json").save_pretrained(folder)
    _feature_extractor(folder)
    Wav2Vec2ForCTC(_wav2vec2(**config)).save_pretrained(folder)


def audio_classification(folder: Path, **config: Any) -> None:
    from transformers import Wav2Vec2ForSequenceClassification

    _feature_extractor(folder)
    Wav2Vec2ForSequenceClassification(_wav2vec2(id2label=_LABELS, **config)).save_pretrained(folder)


def zero_shot_audio_classification(folder: Path, **config: Any) -> None:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    tokenizer = _tokenizer(folder)
    settings = ClapConfig(
        text_config={**_SMALL, "vocab_size": len(tokenizer), "max_position_embeddings": 130},
        audio_config={
            "spec_size": 64,
            "num_mel_bins": 16,
            "window_size": 4,
            "patch_embeds_hidden_size": 8,
            "patch_size": 4,
            "patch_stride": [4, 4],
            "depths": [1, 1],
            "num_attention_heads": [2, 2],
            "hidden_size": 16,
            "enable_fusion": False,
            "num_hidden_layers": 2,
        },
        projection_dim=16,
        **config,
    )
    ClapModel(settings).save_pretrained(folder)
    ClapFeatureExtractor(
        feature_size=16, sampling_rate=16_000, frequency_max=8_000, max_length_s=2, truncation="rand_trunc"
    ).save_pretrained(folder)


def _whisper(folder: Path, **config: Any) -> None:
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    stamps = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    letters = [chr(i) for i in range(33, 127)] + ["Ġ"]
    ids = {token: i for i, token in enumerate([*letters, *special, *stamps])}
    (folder / "vocab.json").write_text(json.dumps({letter: ids[letter] for letter in [*letters, "<|endoftext|>"]}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = WhisperTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer.add_special_tokens({"additional_special_tokens": special[1:]})
    tokenizer.add_tokens(stamps)
    tokenizer.save_pretrained(folder)
    ids = tokenizer.get_vocab()
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    ends = {"bos_token_id": ids[special[0]], "eos_token_id": ids[special[0]], "pad_token_id": ids[special[0]]}
    settings = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_target_positions=64,
        decoder_start_token_id=ids[special[1]],
        init_std=0.5,
        **ends,
        **config,
    )
    model = WhisperForConditionalGeneration(settings)
    model.generation_config = GenerationConfig(
        **ends,
        decoder_start_token_id=ids[special[1]],
        is_multilingual=True,
        lang_to_id={"<|en|>": ids["<|en|>"], "<|de|>": ids["<|de|>"]},
        task_to_id={"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        max_initial_timestamp_index=50,
        max_new_tokens=20,
        min_new_tokens=8,
        num_beams=2,
        return_timestamps=False,
    )
    model.generation_config._from_model_config = False  # else saving refuses settings that the model does not have
    model.save_pretrained(folder)


def _tokenizer(folder: Path) -> Any:
    from tests.support.tiny_models import tokenizer

    return tokenizer(folder)


MAKERS: dict[str, Callable[..., None]] = {
    "audio-classification": audio_classification,
    "automatic-speech-recognition": speech_recognition,
    "depth-estimation": depth_estimation,
    "document-question-answering": document_question_answering,
    "image-classification": image_classification,
    "image-feature-extraction": image_feature_extraction,
    "image-segmentation": image_segmentation,
    "image-text-to-text": image_text_to_text,
    "keypoint-matching": keypoint_matching,
    "object-detection": object_detection,
    "table-question-answering": table_question_answering,
    "text-to-audio": text_to_audio,
    "video-classification": video_classification,
    "zero-shot-audio-classification": zero_shot_audio_classification,
    "zero-shot-image-classification": zero_shot_image_classification,
    "zero-shot-object-detection": zero_shot_object_detection,
}
