"""The C programs of the bench, compiled when a run begins."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


class Missing(Exception):
    """Something that must be installed first; the text says what and how."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Where compiled programs go."""

    folder: Path

    def build(self, source: str) -> Path:
        """The program of a C file below bench/. Raises Missing without a compiler or when it does not compile."""
        program = self.folder / Path(source).stem
        if program.exists():
            return program
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise Missing("no C compiler for the load client; on Debian: apt-get install gcc libc6-dev")
        command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(HERE / source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missing(f"{source} does not compile here (Linux and libc6-dev are needed):\n{done.stderr}")
        return program
