# What the Python tests share: the embedded model and small options.
# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

import octavo

ROOT = pathlib.Path(__file__).resolve().parents[2]
POCKET = ROOT / "models" / "pocket-llama"


def small_llm(model=POCKET, **kwargs):
    options = {
        "build_config": octavo.BuildConfig(max_batch_size=4, max_num_tokens=256, max_seq_len=512),
        "kv_cache_config": octavo.KvCacheConfig(max_tokens=4096),
        "device": "cpu",
    }
    return octavo.LLM(model, **{**options, **kwargs})


@pytest.fixture(scope="session")
def llm():
    with small_llm() as opened:
        yield opened
