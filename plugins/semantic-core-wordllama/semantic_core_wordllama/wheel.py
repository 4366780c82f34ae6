"""The two files of the model in the ``wordllama`` wheel: located, and checked by size and digest.

The ``wordllama`` package is never imported, because that takes a third of a second and configures
logging for the whole process.

Tested by tests/test_wheel.py.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import attrs

from semantic_core.errors import EmbedderError

DIMENSIONS: Final = (256, 128, 64)
"""Sizes that the model was trained for, the full one first.

A smaller vector consists of the first numbers of the full one.
"""
INSTALL: Final = 'Run: pip install --force-reinstall "wordllama>=0.4,<0.5"'


@attrs.frozen
class WheelFile:
    """A file of the model.

    path: within the package. size: bytes. digest: SHA-256 of the content, in hex.
    """

    path: str
    size: int
    digest: str

    def locate(self) -> Path:
        """The installed file. Raises EmbedderError if it is missing or has another size."""
        spec = find_spec("wordllama")
        folders = list(spec.submodule_search_locations or ()) if spec else []
        if not folders:
            raise EmbedderError("The wordllama package is not installed.", hint=INSTALL)
        found = Path(folders[0], self.path)
        try:
            size = found.stat().st_size
        except OSError as error:
            raise EmbedderError(
                f"The wordllama package has no file {self.path}: {found} is missing.", hint=INSTALL
            ) from error
        if size != self.size:
            raise self._unexpected(found, f"{self.size:,} bytes, got {size:,}")
        return found

    def read(self) -> bytes:
        """The content. Raises EmbedderError if it cannot be read, or has another digest."""
        found = self.locate()
        try:
            content = found.read_bytes()
        except OSError as error:
            raise EmbedderError(
                f"{found} cannot be read: {error.strerror}.", hint=INSTALL
            ) from error
        digest = sha256(content).hexdigest()
        if digest != self.digest:
            raise self._unexpected(found, f"SHA-256 {self.digest}, got {digest}")
        return content

    def _unexpected(self, found: Path, difference: str) -> EmbedderError:
        return EmbedderError(
            f"{found} is another version of the model: wanted {difference}.",
            hint=INSTALL,
        )


WEIGHTS: Final = WheelFile(
    "weights/l2_supercat_256.safetensors",
    16_384_096,
    "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
)
TOKENIZER: Final = WheelFile(
    "tokenizers/l2_supercat_tokenizer_config.json",
    1_842_796,
    "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
)
