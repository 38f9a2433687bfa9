"""A provider's response headers: bytes as they came, and text for who asks for it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar, overload

T = TypeVar("T")


class Headers(Sequence[tuple[str, str]]):
    """Header names and values in order. As a sequence they are text, decoded each time; `lines`
    are the bytes. What is no UTF-8 is kept by surrogates.
    """

    __slots__ = ("lines",)

    def __init__(self, lines: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self.lines = lines

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
        self._values = {lower(name): value for name, value in reversed(headers.lines)}

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
