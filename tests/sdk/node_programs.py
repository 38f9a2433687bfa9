"""Programs in tests/sdk/node that use client libraries of vendors."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"


def needs(library):
    """Skip a test unless Node and the library are installed."""
    return pytest.mark.skipif(
        shutil.which("node") is None or not (FOLDER / "node_modules" / library).is_dir(),
        reason=f"node or {library} is not installed (npm ci in tests/sdk/node)",
    )


async def run(program, **environment):
    """Run a program to its end; the JSON on its last line."""
    process = await asyncio.create_subprocess_exec(
        "node", program, cwd=FOLDER, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, problems = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, problems.decode()[-3000:]
    return json.loads(output.decode().splitlines()[-1])
