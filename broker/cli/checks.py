"""The checks of `broker doctor`: what was looked at, and what is wrong."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Checks:
    """What was looked at. `bad` says what is wrong and what to do; `notes` what is good to know."""

    bad: dict[str, str | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def good(self, name: str, note: str = "") -> None:
        self.bad[name] = None
        self.notes[name] = note

    def wrong(self, name: str, message: str) -> None:
        self.bad[name] = message

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
            lines.append(f"{'BAD' if message else 'ok '} {name}{f': {shown}' if shown else ''}")
        return "\n".join(lines)
