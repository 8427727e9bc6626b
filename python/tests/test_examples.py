# The guide's two samples, run on the embedded model.
# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import pytest
from conftest import POCKET, ROOT

import octavo

# What a machine without a 70B model puts in the place of the guide's own values; its four ranks stay.
CHANGES = {
    '"/path/to/Llama-3.3-70B"': repr(str(POCKET)),
    "calib_batches=512": f"calib_dataset={str(POCKET / 'calibration.jsonl')!r}, calib_batches=4",
}


@pytest.mark.parametrize("name", ["baseline_fp8_engine", "tuned_fp8_engine"])
def test_sample(name, tmp_path):
    source = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    for old, new in CHANGES.items():
        assert source.count(old) == 1
        source = source.replace(old, new)
    (tmp_path / "sample.py").write_text(source, encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", "sample.py"], cwd=tmp_path, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    for flags in ("the GEMM plugins", "--reduce_fusion"):
        notices = done.stderr.count(f"unfused meaning of {flags}")
        assert notices == (1 if name == "tuned_fp8_engine" else 0), done.stderr
    engine = json.loads((tmp_path / name / "config.json").read_text(encoding="utf-8"))["engine"]
    assert engine["max_batch_size"] == 512
    assert sorted(path.name for path in (tmp_path / name).glob("*.engine")) == [f"rank{r}.engine" for r in range(4)]
    assert engine["kv_cache_dtype"] == ("fp8" if name == "tuned_fp8_engine" else "bfloat16")
    with octavo.LLM(tmp_path / name, kv_cache_config=octavo.KvCacheConfig(max_tokens=2048)) as llm:
        text = llm.generate("The compiler", octavo.SamplingParams(max_tokens=4)).outputs[0].text
    assert text
