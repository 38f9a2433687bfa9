"""The revisions that are measured: this tree, and an earlier one in a git worktree of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Revision:
    """A tree of the broker: what tables call it, where it is, which commit it is."""

    name: str
    root: Path
    commit: str

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which Python imports this tree's broker, whatever is installed."""
        return {"PYTHONPATH": str(self.root)}

    def check_is_imported(self) -> None:
        """End the run unless a process started for this revision imports this tree's broker."""
        done = subprocess.run(
            [sys.executable, "-c", "import broker; print(broker.__path__[0])"],
            check=True,
            cwd=self.root,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
        )
        if Path(done.stdout.strip()).resolve() != (self.root / "broker").resolve():
            sys.exit(f"bench: {self.name} would import another tree's broker: {done.stdout}")


def this_tree() -> Revision:
    """What stands in the working directory, changes that are not committed included."""
    commit = _git("rev-parse", "--short", "HEAD", default="no commit")
    changed = _git("status", "--porcelain", "--", "broker", "sql", "requirements.lock")
    return Revision("broker", ROOT, f"{commit} with changes" if changed else commit)


@contextmanager
def checked_out(wish: str) -> Iterator[Revision]:
    """An earlier revision in a worktree that goes with the block."""
    commit = _git("rev-parse", "--verify", "--short", f"{wish}^{{commit}}")
    if not commit:
        sys.exit(f"bench: {wish} is not a revision of this repository")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder, commit)
        add = ["git", "worktree", "add", "--quiet", "--detach", str(root), commit]
        subprocess.run(add, check=True, cwd=ROOT)
        try:
            yield Revision(f"broker {commit}", root, commit)
        finally:
            remove = ["git", "worktree", "remove", "--force", str(root)]
            subprocess.run(remove, check=False, cwd=ROOT)


def same_requirements(one: Revision, other: Revision) -> bool:
    """Whether both revisions pin the same packages; both run on those installed now."""
    texts = [(each.root / "requirements.lock").read_text() for each in (one, other)]
    return texts[0] == texts[1]


def _git(*command: str, default: str = "") -> str:
    done = subprocess.run(["git", *command], check=False, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else default
