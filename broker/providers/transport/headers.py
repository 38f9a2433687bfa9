"""Header sections: bytes as they came, and text for who asks for it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar, overload

from broker.errors import InvalidRequest

T = TypeVar("T")

NOT_IN_LINES = b"\r\n\0"
"""Bytes that no line of a head holds but at its end."""


class Headers(Sequence[tuple[str, str]]):
    """Header names and values in order. As a sequence they are text, decoded each time; `lines`
    are the bytes. What is no UTF-8 is kept by surrogates.
    """

    __slots__ = ("_by_name", "_encoded", "filtered", "lines")

    def __init__(self, lines: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self.lines = lines
        self.filtered: tuple[object, Headers] | None = None
        """A filter, and what it let through of these: for it to keep, as the headers of a
        connection's calls are mostly the same.
        """
        self._encoded: bytes | None = None
        self._by_name: dict[bytes, bytes] | None = None

    @property
    def by_name(self) -> dict[bytes, bytes]:
        """Values by lower-case name; of a name that stands twice, the first."""
        if self._by_name is None:
            self._by_name = {lower(name): value for name, value in reversed(self.lines)}
        return self._by_name

    def encode(self) -> bytes:
        """As lines of a head, each with its end. Raises InvalidRequest for what would be other
        lines than these: it must not become two requests.
        """
        if self._encoded is None:
            text = b"\r\n".join([*map(b": ".join, self.lines), b""])
            if len(text.translate(None, NOT_IN_LINES)) + 2 * len(self.lines) != len(text):
                raise InvalidRequest("A header contains characters that are not allowed there.")
            self._encoded = text
        return self._encoded

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> "Headers":
        """Headers that are text."""
        return cls([(encoded(name), encoded(value)) for name, value in pairs])

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter([(decoded(name), decoded(value)) for name, value in self.lines])

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...

    @overload
    def __getitem__(self, index: slice) -> "Headers": ...

    def __getitem__(self, index: int | slice) -> "tuple[str, str] | Headers":
        if isinstance(index, slice):
            return Headers(self.lines[index])
        name, value = self.lines[index]
        return decoded(name), decoded(value)


class FirstValues(Mapping[str, str]):
    """Values by lower-case name; of a name that stands twice, the first."""

    __slots__ = ("_values",)

    def __init__(self, headers: Headers) -> None:
        self._values = headers.by_name

    def __getitem__(self, name: str) -> str:
        return decoded(self._values[name.encode()])

    def __iter__(self) -> Iterator[str]:
        return iter([decoded(name) for name in self._values])

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def get(self, name: str, /) -> str | None: ...

    @overload
    def get(self, name: str, default: T, /) -> str | T: ...

    def get(self, name: str, default: T | None = None, /) -> str | T | None:
        """The value of a name."""
        value = self._values.get(name.encode())
        return default if value is None else decoded(value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.encode() in self._values


def decoded(value: bytes) -> str:
    """The text of a header's bytes."""
    return value.decode("utf-8", "surrogateescape")


def encoded(value: str) -> bytes:
    """The bytes of a header's text."""
    return value.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=2048)
def lower(name: bytes) -> bytes:
    """A header's name in lower case."""
    return name.lower()
