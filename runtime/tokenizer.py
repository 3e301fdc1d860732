"""Text to token ids and back, piece by piece; the bytes of a token for streaming.

Every string is encoded on its own and nothing generated is ever encoded again. Control tags are
ids only: a tag typed in a text is refused by `runtime.prompt` and would be plain bytes here.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import BundleError
from runtime.manifest import TOKEN_TEXT, SpecialTokens

if TYPE_CHECKING:
    import tokenizers


class Vocabulary:
    """A byte-level BPE tokenizer with the bundle's control tokens."""

    def __init__(self, path: Path, special: SpecialTokens) -> None:
        import tokenizers

        try:
            self._tokenizer: tokenizers.Tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise BundleError(f"{path}: expected a tokenizer.json, found: {error}") from error
        self._tokenizer.encode_special_tokens = True
        self.special = special
        self.size = self._tokenizer.get_vocab_size()
        for name, text in TOKEN_TEXT.items():
            found, wanted = self._tokenizer.token_to_id(text), getattr(special, name)
            if found != wanted:
                raise BundleError(f"{path}: {text} has id {found}, the manifest says {wanted}")
        self.special_ids = frozenset(getattr(special, name) for name in TOKEN_TEXT)
        self.digits = tuple(self._single(str(digit)) for digit in range(10))
        self.times = self._single("*")
        self._bytes = _byte_table(self._tokenizer, self.size, self.special_ids)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, encoded on its own; a control tag in it is plain text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids) if text else []

    def decode(self, ids: list[int]) -> str:
        """Text of ids; control tokens are left out, broken UTF-8 becomes U+FFFD."""
        return b"".join(self._bytes[i] for i in ids).decode("utf-8", "replace")

    def stream(self) -> TextStream:
        """A decoder for one run of tokens."""
        return TextStream(self._bytes)

    def _single(self, text: str) -> int:
        ids = self.encode(text)
        if len(ids) != 1:
            raise BundleError(f"tokenizer: expected {text!r} to be one token, found {len(ids)}")
        return ids[0]


class TextStream:
    """Decodes a run of tokens one by one, holding back bytes of an unfinished character."""

    def __init__(self, table: tuple[bytes, ...]) -> None:
        self._table = table
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that `token` completes, "" while a character is unfinished."""
        return self._decoder.decode(self._table[token])

    def finish(self) -> str:
        """What is left of an unfinished character."""
        return self._decoder.decode(b"", final=True)


def _byte_table(
    tokenizer: tokenizers.Tokenizer, size: int, special: frozenset[int]
) -> tuple[bytes, ...]:
    letters = _byte_letters()
    table = []
    for i in range(size):
        token = tokenizer.id_to_token(i)
        if i in special or token is None:
            table.append(b"")
        else:
            table.append(bytes(letters[letter] for letter in token if letter in letters))
    return tuple(table)


def _byte_letters() -> dict[str, int]:
    """The letter byte-level BPE writes for each byte (GPT-2's table): printable Latin-1 bytes
    stand for themselves, the others for code points from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in set(printable)]
    letters.update({chr(256 + i): byte for i, byte in enumerate(others)})
    return letters
