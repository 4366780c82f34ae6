"""Folders with a tiny model as exporters write them: a real tokenizer, and a real ONNX graph that
looks up the vector of every token.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

from semantic_core.testing.embedder import TEXTS

DIMENSIONS = 24
MAX_TOKENS = 64
IR_VERSION = 8
OPSET = 17
"""Versions that the oldest allowed onnxruntime reads."""
WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]


def write_tokenizer(folder: Path) -> int:
    """A tokenizer of parts of words; returns the size of its vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=WORDS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.get_vocab_size())


def write_model(
    file: Path,
    vocabulary: int,
    *,
    seed: int = 0,
    pooled: bool = False,
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
) -> None:
    """A graph whose output is the vector of each token or, pooled, their mean."""
    table = np.random.default_rng(seed).normal(size=(vocabulary, DIMENSIONS)).astype(np.float32)
    table[1:3] *= 0.1  # the marks of the ends say little, as in a trained model
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    output = helper.make_tensor_value_info(
        "last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", DIMENSIONS]
    )
    constants = [numpy_helper.from_array(table, "table")]
    if pooled:
        output = helper.make_tensor_value_info(
            "sentence_embedding", TensorProto.FLOAT, ["batch", DIMENSIONS]
        )
        constants.append(numpy_helper.from_array(np.array([2]), "last"))
        constants.append(numpy_helper.from_array(np.array([1]), "middle"))
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "last"], ["masks"]),
            helper.make_node("Mul", ["last_hidden_state", "masks"], ["masked"]),
            helper.make_node("ReduceSum", ["masked", "middle"], ["sum"], keepdims=0),
            helper.make_node("ReduceSum", ["mask", "middle"], ["count"], keepdims=1),
            helper.make_node("Div", ["sum", "count"], ["sentence_embedding"]),
        ]
    given = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in inputs
    ]
    graph = helper.make_graph(nodes, "tiny", given, [output], constants)
    opset = [helper.make_opsetid("", OPSET)]
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opset), str(file))


def write_pair_model(file: Path, vocabulary: int, *, labels: int = 1) -> None:
    """A graph that reads a question and a passage together: the product of the means of their
    tokens' vectors, so many times.
    """
    table = np.random.default_rng(1).normal(size=(vocabulary, DIMENSIONS)).astype(np.float32)
    table[:4] = 0.0
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([2]), "last"),
        numpy_helper.from_array(np.array([1]), "middle"),
        numpy_helper.from_array(np.array([1, labels]), "labels"),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("Cast", ["token_type_ids"], ["second"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["mask", "second"], ["first"]),
        helper.make_node("Mul", ["first_mean", "second_mean"], ["product"]),
        helper.make_node("ReduceSum", ["product", "middle"], ["score"], keepdims=1),
        helper.make_node("Tile", ["score", "labels"], ["logits"]),
    ]
    for side in ("first", "second"):
        nodes[4:4] = [
            helper.make_node("Unsqueeze", [side, "last"], [f"{side}_mask"]),
            helper.make_node("Mul", ["tokens", f"{side}_mask"], [f"{side}_tokens"]),
            helper.make_node(
                "ReduceSum", [f"{side}_tokens", "middle"], [f"{side}_sum"], keepdims=0
            ),
            helper.make_node("ReduceSum", [side, "middle"], [f"{side}_count"], keepdims=1),
            helper.make_node("Div", [f"{side}_sum", f"{side}_count"], [f"{side}_mean"]),
        ]
    given = []
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        given.append(helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]))
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])
    graph = helper.make_graph(nodes, "tiny pairs", given, [output], constants)
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opset), str(file))


def write_json(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), "utf-8")


def make_folder(folder: Path, **model: Any) -> Path:
    """A folder as sentence-transformers exports it. model: as `write_model` takes it."""
    folder.mkdir(parents=True)
    vocabulary = write_tokenizer(folder)
    write_model(folder / "model.onnx", vocabulary, **model)
    write_json(folder / "config.json", {"hidden_size": DIMENSIONS, "max_position_embeddings": 512})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS})
    write_json(
        folder / "1_Pooling/config.json",
        {
            "word_embedding_dimension": DIMENSIONS,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
        },
    )
    package = "sentence_transformers.models"
    write_json(
        folder / "modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": f"{package}.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{package}.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{package}.Normalize"},
        ],
    )
    return folder


def make_pair_folder(folder: Path, **model: Any) -> Path:
    """A folder with a cross-encoder. model: as `write_pair_model` takes it."""
    folder.mkdir(parents=True)
    write_pair_model(folder / "model.onnx", write_tokenizer(folder), **model)
    write_json(folder / "tokenizer_config.json", {"model_max_length": MAX_TOKENS})
    return folder
