# What a row of the fault table is, and the rows whose subject Octavo does not have yet.
# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field
from typing import Callable

BUILD = ("build", "--checkpoint_dir", "model", "--output_dir", "{out}", "--max_batch_size", "4")
BUILD_QUANTIZED = ("build", "--checkpoint_dir", "quantized", "--output_dir", "{out}", "--max_batch_size", "4")
QUANTIZE = ("quantize", "--model_dir", "model", "--output_dir", "{out}", "--calib_size", "2",
            "--calib_max_seq_length", "16")
GENERATE = ("generate", "--model_dir", "model", "--prompt", "the", "--max_tokens", "2", "--max_batch_size", "1")
GENERATE_ENGINE = ("generate", "--engine_dir", "engine", "--prompt", "the", "--max_tokens", "2")


@dataclass
class Case:
    """One run: `make(models, folder)` breaks fresh copies, then `octavo command` must end as said."""
    row: str
    what: str
    make: Callable
    command: tuple
    code: int
    message: str  # of the error line; of all output where the code is 0
    uses: tuple = ("model",)
    cpu_s: float = 1.0
    megabytes: int = 0  # limit of memory; 0: none
    check_left: bool = True
    environment: dict = field(default_factory=dict)
    setup: str = ""  # of the shell, before the program
    after: Callable = None  # (models, folder, output) -> problems


@dataclass
class Scenario:
    """Several runs: `run(fixtures, folder)` returns problems."""
    row: str
    what: str
    run: Callable


def nothing(models, folder):
    pass


NOT_MET = {
    "S31": "a file replaced while it is read needs an injected delay; tests/io does it with file calls",
    "S33 permission": "needs a user other than root",
    "C16, F10": "a GPU runs one rank; the ranks of the CPU are in tests/pipeline and tests/builder",
    "T10, T13-T17": "no chat without the server; a plain prompt is parsed as the tokenizers package does",
    "T11": "needs a text of 2^31 tokens; counts are int64_t throughout",
    "D7, D14 ranks": "ranks and thread counts are in tests/pipeline",
    "D18": "as S31",
    "E2, E6": "rank files of two builds are mixed in tests/runtime; one device type",
    "E9": "no server",
    "E10": "needs a slow file system",
    "F7, F15, F16": "no GPU, no server",
    "G, H, J, K, R, Y": "GPU, server and bindings: their tests come with them",
}
