"""A folder with a sentence model, as sentence-transformers and the exporters of ONNX write it: its
files and its settings, read without loading the model.

Tested by tests/test_folder.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final, Literal, get_args

import attrs

from semantic_core.errors import ConfigError

Pooling = Literal["mean", "cls"]
"""How the vectors of tokens become the vector of a text: their mean, or that of the first token."""

GET_A_MODEL: Final = (
    "This plugin downloads nothing. Get a model first, for example: "
    "hf download sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2 --local-dir DIR"
)
MODELS: Final = ("model.onnx", "onnx/model.onnx")
"""Where exporters put the model."""
TOKENIZER: Final = "tokenizer.json"
MAX_TOKENS: Final = 256
"""Tokens that a model reads at once, where its folder does not say: what most were trained with."""
DIGEST_LENGTH: Final = 24
"""Hex digits of a digest that tell models apart."""

_POOLINGS: Final[Mapping[str, Pooling]] = {
    "mean": "mean",
    "cls": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}
"""Pooling by the name that a folder uses: a value since version 6 of sentence-transformers, before
a key that is true.
"""
_KNOWN_MODULES: Final = ("Transformer", "Pooling", "Normalize")
"""Steps after the tokens, by the end of the name of their class, that this plugin computes."""


@attrs.frozen
class ModelFolder:
    """An existing folder. path: absolute. get_a_model: the hint where it has no model."""

    path: Path
    get_a_model: str = GET_A_MODEL

    @classmethod
    def at(cls, path: str, get_a_model: str = GET_A_MODEL) -> ModelFolder:
        """The folder at this path, relative to the working folder. Raises ConfigError if there is
        none.
        """
        if not isinstance(path, str) or not path:
            raise ConfigError(
                f"path must be the folder of a model on this computer, got {path!r}.",
                hint=get_a_model,
            )
        folder = Path(path).expanduser().absolute()
        if not folder.is_dir():
            raise ConfigError(f"There is no folder {str(folder)!r}.", hint=get_a_model)
        return cls(folder, get_a_model)

    @property
    def name(self) -> str:
        """The name of the folder, which is the name of the model in a space."""
        return self.path.name or "model"

    def onnx(self) -> Path:
        """The ONNX model. Raises ConfigError if there is none, or no tokenizer beside it."""
        found = [self.path / name for name in MODELS if (self.path / name).is_file()]
        if not found:
            hint = self.get_a_model
            if (self.path / "modules.json").is_file():
                hint = (
                    'Use the embedder "sentence-transformers" for this folder, or export it: '
                    "optimum-cli export onnx --model DIR DIR"
                )
            raise ConfigError(f"There is no {MODELS[0]} in {str(self.path)!r}.", hint=hint)
        if not (self.path / TOKENIZER).is_file():
            raise ConfigError(
                f"There is no {TOKENIZER} in {str(self.path)!r}.", hint=self.get_a_model
            )
        return found[0]

    def digest(self, files: Iterable[Path]) -> str:
        """A digest of the content of these files and their names within the folder."""
        whole = sha256()
        for file in sorted(files):
            with file.open("rb") as opened:
                content = file_digest(opened, "sha256").hexdigest()
            whole.update(f"{file.relative_to(self.path).as_posix()} {content}\n".encode())
        return whole.hexdigest()[:DIGEST_LENGTH]

    def onnx_files(self) -> Iterator[Path]:
        """The files that decide what an ONNX model computes: tokenizer, model and its weights."""
        model = self.onnx()
        yield self.path / TOKENIZER
        for file in model.parent.glob(f"{model.name}*"):
            if file.is_file():
                yield file

    def all_files(self) -> Iterator[Path]:
        """All files but hidden ones and pages to read."""
        for file in self.path.rglob("*"):
            hidden = any(part.startswith(".") for part in file.relative_to(self.path).parts)
            if file.is_file() and not hidden and file.suffix.lower() != ".md":
                yield file

    def dimensions(self) -> int | None:
        """Numbers of a vector; None if the folder does not say."""
        for module in reversed(self._modules()):
            config = self._read(f"{module['path']}/config.json")
            for key in ("out_features", "embedding_dimension", "word_embedding_dimension"):
                if key in config:
                    return _count(config, key)
        config = self._read("config.json")
        return _count(config, "hidden_size") if "hidden_size" in config else None

    def pooling(self) -> Pooling:
        """How the folder says that tokens are pooled; the mean if it does not say. Raises
        ConfigError for a way that this plugin does not compute.
        """
        unknown = []
        for module in self._modules():
            kind = str(module.get("type", "")).rpartition(".")[2]
            if kind and kind not in _KNOWN_MODULES:
                unknown.append(kind)
        config = self._read("1_Pooling/config.json")
        chosen = []
        for key, value in config.items():
            if key.startswith("pooling_mode") and value:
                chosen.append(key if value is True else str(value))
        unknown += [key for key in chosen if key not in _POOLINGS]
        if unknown or len(chosen) > 1:
            raise ConfigError(
                f"The model in {str(self.path)!r} makes its vectors with "
                f"{', '.join(unknown or chosen)}, which this embedder does not compute.",
                hint='Use the embedder "sentence-transformers" for this folder.',
            )
        return _POOLINGS[chosen[0]] if chosen else "mean"

    def max_tokens(self) -> int:
        """Tokens that the model reads at once."""
        for name, key in (
            ("sentence_bert_config.json", "max_seq_length"),
            ("tokenizer_config.json", "model_max_length"),
            ("config.json", "max_position_embeddings"),
        ):
            value = self._read(name).get(key)
            if isinstance(value, int) and 0 < value < 1_000_000:
                return value
        return MAX_TOKENS

    def prefix(self, names: Iterable[str]) -> str:
        """What the model wants in front of a text of one of these kinds, such as "query: "."""
        prompts = self._read("config_sentence_transformers.json").get("prompts")
        for name in names:
            if isinstance(prompts, Mapping) and isinstance(prompts.get(name), str):
                return str(prompts[name])
        return ""

    def unknown_token(self) -> int | None:
        """The number of the token for what the tokenizer does not know; None if it has none."""
        model = self._read(TOKENIZER).get("model", {})
        if isinstance(model.get("unk_id"), int):
            return int(model["unk_id"])
        vocabulary = model.get("vocab")
        unknown = model.get("unk_token")
        found = vocabulary.get(unknown) if isinstance(vocabulary, dict) else None
        return found if isinstance(found, int) else None

    def _modules(self) -> list[dict[str, Any]]:
        """The steps of a model of sentence-transformers, in order; a folder with nothing but
        1_Pooling has this one.
        """
        modules = self._load("modules.json", list)
        if not modules and (self.path / "1_Pooling").is_dir():
            return [{"path": "1_Pooling"}]
        return [module for module in modules if isinstance(module, dict) and module.get("path")]

    def _read(self, name: str) -> dict[str, Any]:
        """A file with a JSON object; {} if there is none."""
        content: dict[str, Any] = self._load(name, dict)
        return content

    def _load(self, name: str, kind: Callable[[], Any]) -> Any:
        """A file with JSON of this kind, or the empty one if there is none."""
        file = self.path / name
        try:
            content = json.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            return kind()
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"{str(file)!r} cannot be read: {error}.", hint="Get the model again."
            ) from error
        if type(content) is not kind:
            raise ConfigError(f"{str(file)!r} must hold a JSON {kind.__name__}.")
        return content


def _count(config: Mapping[str, Any], key: str) -> int:
    value = config[key]
    if not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key} of the model must be a whole number from 1, got {value!r}.")
    return value


@attrs.frozen
class ModelOptions:
    """What a user may say of a model; None, 0 and "auto": as its folder says.

    max_chars: longest passage, in characters. batch_size: passages per call. threads: processors;
    0 for all.
    """

    path: str
    pooling: str
    max_tokens: int
    query_prefix: str | None
    document_prefix: str | None
    dimensions: int
    max_chars: int
    batch_size: int
    threads: int

    def checked(self, embedder: str) -> ModelOptions:
        """These options. Raises ConfigError for one that nothing can be done with."""
        least = {"max_tokens": 0, "dimensions": 0, "max_chars": 0, "batch_size": 1, "threads": 0}
        for name, smallest in least.items():
            check_count(embedder, name, getattr(self, name), smallest)
        for name in ("query_prefix", "document_prefix"):
            value = getattr(self, name)
            if not isinstance(value, str | None):
                raise ConfigError(f"{embedder}: {name} must be a str, got {value!r}.")
        poolings = ("auto", *get_args(Pooling))
        if self.pooling not in poolings:
            raise ConfigError(
                f"{embedder}: pooling must be one of {', '.join(poolings)}, got {self.pooling!r}."
            )
        return self


def check_count(owner: str, name: str, value: object, smallest: int) -> None:
    """Raises ConfigError for an option that is no int of at least so much. owner: whose option."""
    if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
        raise ConfigError(f"{owner}: {name} must be an int of at least {smallest}, got {value!r}.")
