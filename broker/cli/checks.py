"""The checks of `broker doctor`: what was looked at, and what is wrong."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Checks:
    """What was looked at. `bad` says what is wrong and what to do; `notes` what is good to know;
    `open` names what is still to be done and keeps nothing from working.
    """

    bad: dict[str, str | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def good(self, name: str, note: str = "") -> None:
        self.bad[name] = None
        self.notes[name] = note

    def wrong(self, name: str, message: str) -> None:
        self.bad[name] = message

    def todo(self, name: str, message: str) -> None:
        self.good(name, message)
        self.open.add(name)

    def expect(self, name: str, met: bool, message: str, note: str = "") -> None:
        """Good if the condition is met, else wrong with the message."""
        if met:
            self.good(name, note)
        else:
            self.wrong(name, message)

    def as_text(self) -> str:
        lines = []
        for name, message in self.bad.items():
            shown = message or self.notes[name]
            state = "BAD" if message else "TO DO" if name in self.open else "ok"
            lines.append(f"{state:<5} {name}{f': {shown}' if shown else ''}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, str]:
        """`ok`, `to do: ...` or what is wrong, by what was looked at."""
        return {
            name: message or (f"to do: {self.notes[name]}" if name in self.open else "ok")
            for name, message in self.bad.items()
        }
