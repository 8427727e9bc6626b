# The groups of tests and measurements of a GPU machine.
# SPDX-License-Identifier: Apache-2.0
"""Each method of Run without an underscore that scripts/bench-gpu names is a group and returns its rows."""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import time

from stage import ARCHIVE, ROOT

MODEL = "configs/llama-3.1-8b"
LARGEST_BATCH = ("--max_batch_size", 512, "--kv_cache_free_gpu_mem_fraction", 0.95)
# One small case of every kernel, in groups of about equal time under compute-sanitizer.
SANITIZED = ["Grid/Decode.MatchesDoubles/0:Grid/Decode.MatchesDoubles/7",
             "Grid/RopeAttention.HasTheBytesOfItsParts/1:Grid/RopeAttention.HasTheBytesOfItsParts/4",
             "Grid/Context.MatchesDoubles/1:Grid/Context.MatchesDoubles/6:Grid/Context.MatchesDoubles/2",
             "Grid/Fp8Linear.*/3:Grid/Fp8Linear.*/7:FloatLinear.*:GatherRows.*:LowLatencySwiglu.ASmallCase:"
             "AddRmsNormLinearKernel.RowsDoNotMeet",
             "Grid/Pointwise.*/2:Grid/RmsNorm.*/3:Grid/RopeKvAppend.*/3:Grid/RopeKvAppend.*/4:"
             "Quantize.OddWidthsAndStrides",
             "Grid/ScaledLinear.IntegersAreExact/2:Grid/ScaledLinear.IntegersAreExact/5:"
             "Grid/ScaledLinear.IntegersAreExact/14:Grid/ScaledLinear.IntegersAreExact/19:"
             "Grid/QuantizeDynamic.*/2:Grid/QuantizeDynamic.*/13:Grid/QuantizeDynamic.*/18",
             "Grid/IntegerLinear.SmallValuesAreExact/3:Grid/IntegerLinear.SmallValuesAreExact/11:"
             "Grid/IntegerLinear.SmallValuesAreExact/20",
             "Greedy.TakesTheLowestIndexOfTheMaximum:DeviceSlots.CountTheirOwnTokens:Observe.*:DummyFill.*",
             "MoeGrid.*:Route.*:Permute.*:Types/GroupedStream.Rows*:GroupedSm90Kernel.RunsAsAKernel:"
             "GroupedLinearSwiglu.OfFewRows*"]


def divided_code(code, ratio):
    """The E4M3 code of a code's value over a power of two; what gets too small is zero."""
    exponent, shift = code >> 3 & 15, ratio.bit_length() - 1
    return code - (shift << 3) if exponent > shift else code & 0x80


class Run:
    """Groups of measurements; each returns its rows."""

    def __init__(self, out, time_limit):
        self.out = out
        self.deadline = time.monotonic() + time_limit
        self.files = pathlib.Path(tempfile.mkdtemp(prefix="octavo-gpu-"))
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(self.files)
        libraries = [str(self.files)]
        for folder in ("/usr/local/cuda/lib64", "/usr/local/cuda/targets/x86_64-linux/lib"):
            libraries.append(folder)
        found = subprocess.run("ldconfig -p | grep -o '/.*libcublasLt.so.13'", shell=True, capture_output=True,
                               text=True, check=False).stdout.split()
        libraries += [os.path.dirname(f) for f in found]
        if not any((pathlib.Path(p) / "libcublasLt.so.13").exists() for p in libraries):
            found = subprocess.run("find / -name 'libcublasLt.so.13' -not -path '/proc/*' 2>/dev/null | head -1",
                                   shell=True, capture_output=True, text=True, check=False).stdout.strip()
            libraries.append(os.path.dirname(found))
        # What is measured here is shown with the results: tuned/ holds what is committed of it.
        self.environment = dict(os.environ, LD_LIBRARY_PATH=":".join(libraries), OCTAVO_TUNED_DIR=str(out / "tuned"))

    def call(self, *words, limit=120, environment=None):
        """Standard output of a staged program; raises with its last lines where it fails."""
        limit = max(1, min(limit, self.deadline - time.monotonic()))
        command = [str(self.files / words[0])] + [str(w) for w in words[1:]]
        done = subprocess.run(command, cwd=ROOT, env={**self.environment, **(environment or {})}, capture_output=True,
                              text=True, timeout=limit, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, words))}: exit {done.returncode}: "
                               f"{(done.stdout[-1500:] + done.stderr[-1500:]).strip()}")
        return done.stdout

    def tests(self, pattern="*"):
        """A process a suite, several at once: what one breaks for its process does not hide what the others find."""
        suites = {}
        for line in self.call("backend_cuda_tests", "--gtest_list_tests", f"--gtest_filter={pattern}").splitlines():
            if line.split()[0].endswith("."):
                tests = suites.setdefault(line.split()[0], [])
            elif suites:
                tests.append(line.split()[0])

        def run_suite(suite):
            chosen = ":".join(suite + test for test in suites[suite])
            try:
                self.call("backend_cuda_tests", "--gtest_brief=1", f"--gtest_filter={chosen}", limit=200)
                return None
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                return {"suite": suite, "failed": str(error)[-3000:]}

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            failed = [row for row in pool.map(run_suite, suites) if row]
        return {"suites": len(suites), "failed": failed}

    def sanitize(self):
        """compute-sanitizer's four tools over a small case of every kernel, all tools at once."""
        def start(tool, pattern):
            command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9",
                       str(self.files / "backend_cuda_tests"), "--gtest_brief=1", f"--gtest_filter={pattern}"]
            return subprocess.Popen(["timeout", "150", *command], env=self.environment, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True)

        rows, running = [], [(tool, pattern, time.monotonic(), start(tool, pattern))
                             for pattern in SANITIZED for tool in ("memcheck", "racecheck", "initcheck", "synccheck")]
        for tool, pattern, began, process in running:
            text, _ = process.communicate()
            rows.append({"tool": tool, "tests": pattern, "exit": process.returncode,
                         "seconds": round(time.monotonic() - began, 1)})
            if process.returncode != 0:
                rows[-1]["output"] = text[:1500] + " … " + text[-1500:]
            print({k: v for k, v in rows[-1].items()}, flush=True)
        return rows

    def logits(self):
        """Distance of the GPU's logits from float32 arithmetic, beside the CPU's: dummy weights of tiny-70b."""
        rows = []
        for settings in (["qformat=full_prec"], ["qformat=fp8"], ["qformat=fp8", "kv_cache_dtype=fp8"]):
            rows.append(json.loads(self.call("logits_tool", "configs/tiny-70b", "load_format=dummy", *settings)))
        rows.append(json.loads(self.call("logits_tool", "models/pocket-llama")))
        return rows

    def quantized(self, name, kv, qformat="fp8", model="models/pocket-llama", device="cpu"):
        folder = self.out / "work" / name
        if not folder.exists():
            data = self.files / "calib.jsonl"
            if not data.exists():
                data = ROOT / "models" / "pocket-llama" / "calibration.jsonl"
            self.call("octavo", "quantize", "--model_dir", model, "--output_dir", folder,
                      "--qformat", qformat, "--device", device, "--calib_dataset", data, "--calib_size", 128,
                      "--calib_max_seq_length", 1024, *(["--kv_cache_dtype", "fp8"] if kv else []))
        return folder

    def text(self):
        text = self.files / "valid.jsonl"
        return text if text.exists() else ROOT / "models" / "pocket-llama" / "calibration.jsonl"

    def perplexity(self, model, device, *words):
        return json.loads(self.call("octavo", "eval", "perplexity", "--model_dir", model, "--device", device,
                                    "--dataset", self.text(), "--max_tokens", 160000, *words, "--json"))["perplexity"]

    def greedy(self, model, *words):
        return json.loads(self.call("greedy_tool", model, self.text(), *words))

    def pocket_on_cpu(self):
        """What `pocket` compares with; runs beside the groups before it, which leave the CPU idle."""
        models = {"bfloat16": "models/pocket-llama", "fp8": self.quantized("fp8", False),
                  "fp8_kv": self.quantized("fp8_kv", True)}
        schemes = {name: self.quantized(name, False, name)
                   for name in ("fp8_pc_pt", "fp8_block", "int8_wo", "int4_awq")}
        compared = {name: {"model": model, "perplexity": self.perplexity(model, "cpu"),
                           "greedy": self.greedy(model, "cpu"), "exact": self.greedy(model, "cpu", "exact"),
                           "float32": self.greedy(model, "cpu", "dtype=float32"),
                           "other kernel": self.greedy(model, "cpu", "without=" + self.first_cpu_linear())}
                    for name, model in models.items()}
        return compared | {name: {"model": model, "perplexity": self.perplexity(model, "cpu")}
                           for name, model in schemes.items()}

    def pocket(self):
        """Perplexity on both devices, of the schemes with scales that are vectors too, and of the others greedy
        continuations of 32 texts: equal tokens device against device, in the exact mode (docs/numerics.md), in
        float32, alone and in a full batch."""
        def equal(a, b):
            return f"{sum(x == y for x, y in zip(a, b))} of {len(a)}"

        rows = {}
        for name, cpu in self.background.result().items():
            model = cpu["model"]
            rows[name] = row = {"cpu_perplexity": cpu["perplexity"], "cuda_perplexity": self.perplexity(model, "cuda")}
            row["difference"] = row["cuda_perplexity"] / row["cpu_perplexity"] - 1
            if "greedy" not in cpu:
                print(name, row, flush=True)
                continue
            row["greedy_equal"] = equal(cpu["greedy"], self.greedy(model, "cuda"))
            row["greedy_equal_exact"] = equal(cpu["exact"], self.greedy(model, "cuda", "exact"))
            row["greedy_equal_float32"] = equal(cpu["float32"], self.greedy(model, "cuda", "dtype=float32"))
            row["alone_equals_batch"] = equal(self.greedy(model, "cuda", "deterministic", "batch=1"),
                                              self.greedy(model, "cuda", "deterministic"))
            row["cpu_kernels_among_themselves"] = equal(cpu["greedy"], cpu["other kernel"])
            print(name, row, flush=True)
        return rows

    def mixtral(self):
        """pocket-mixtral, its experts too: perplexities and greedy texts on both devices, and calibrated on both."""
        model = self.files / "pocket-mixtral"
        rows = {}
        models = {"bfloat16": model, "fp8": self.quantized("mixtral", False, model=model),
                  "fp8_kv": self.quantized("mixtral_kv", True, model=model),
                  "fp8, GPU's scales": self.quantized("mixtral_cuda", False, model=model, device="cuda")}
        for name, of in models.items():
            rows[name] = row = {"cpu_perplexity": self.perplexity(of, "cpu"),
                                "cuda_perplexity": self.perplexity(of, "cuda")}
            row["difference"] = row["cuda_perplexity"] / row["cpu_perplexity"] - 1
            exact = [self.greedy(of, device, "exact") for device in ("cpu", "cuda")]
            row["greedy_equal_exact"] = f"{sum(x == y for x, y in zip(*exact))} of {len(exact[0])}"
            print(name, row, flush=True)
        return rows

    def mixtral_latency(self):
        """Mixtral-8x7B of random weights, FP8 with an FP8 KV cache: ITL of requests of 2048 tokens in and out."""
        return self.bench("latency", 3, "--warmup", 1, model="configs/mixtral-8x7b")

    def mixtral_throughput(self):
        """The same, 1000 requests at once: to be compared with the published 6,940 tokens/s (issue 7)."""
        return self.steady(model="configs/mixtral-8x7b")

    def first_cpu_linear(self):
        flags = pathlib.Path("/proc/cpuinfo").read_text()
        for flag, kernel in (("amx_bf16", "cpu_linear_amx"), ("avx512_bf16", "cpu_linear_avx512_bf16"),
                             ("avx512f", "cpu_linear_avx512"), ("avx2", "cpu_linear_avx2")):
            if flag in flags:
                return kernel
        return "none"

    def step(self):
        """Fixed-state steps of the 8B model: decode by batch size, prefill of 2048 and 8192 tokens one after
        the other; last, prompts after a rest, as they are in the latency protocol."""
        rows = []
        steps = ["batch=1,16,64,256", "prefill=2048,8192"]
        fused = ["qformat=fp8", "gemm_swiglu_plugin=fp8", "use_fp8_context_fmha=enable"]
        for settings in (["qformat=full_prec", *steps], ["qformat=fp8", "kv_cache_dtype=bfloat16", *steps],
                         ["qformat=fp8", *steps], [*fused, *steps],
                         ["qformat=fp8", "low_latency_gemm_swiglu_plugin=fp8", steps[0], "prefill="],
                         ["qformat=fp8", "rope_attention_fusion=enable", steps[0], "prefill="],
                         ["qformat=fp8", "norm_linear_fusion=enable", "rope_attention_fusion=disable",
                          "batch=1,2,4,8", "prefill="],
                         ["qformat=fp8", "norm_linear_fusion=enable", "low_latency_gemm_swiglu_plugin=fp8",
                          "rope_attention_fusion=enable", "batch=1,2,4,8,16", "prefill="],
                         [*fused, "batch=", "prefill=2048", "rest_ms=200"]):
            rows.append(json.loads(self.call("step_bench", MODEL, "device=cuda", *settings)))
            print(rows[-1], flush=True)
        return rows

    def schemes(self):
        """Linears of every scheme, kernel by kernel; then the 8B model in each and in bfloat16: decode by batch
        size, a prompt of 2048 tokens after a rest, and throughput. Not among the groups that run by default."""
        rows = self.kernels("schemes", "integer")["rows"]
        for qformat in ("full_prec", "fp8", "fp8_pc_pt", "fp8_block", "int8_wo", "int4_awq"):
            words = [] if qformat == "full_prec" else ["low_latency_gemm_plugin=fp8", "kv_cache_dtype=fp8"]
            rows.append(json.loads(self.call("step_bench", MODEL, "device=cuda", f"qformat={qformat}", *words,
                                             "batch=1,16,64", "prefill=2048", "rest_ms=200")))
            rows[-1]["steady"] = self.steady(qformat=qformat, window=15)
            print(rows[-1], flush=True)
        return rows

    def rope_attention(self):
        """Attention that rotates and appends by itself: its tests, what it saves in a chain of layers by when it
        starts, and steps and ITL without and with it. Not among the groups that run by default."""
        rows = [self.tests("*RopeAttention*")]
        path = self.out / "work" / "chain_costs.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.call("cuda_bench", path, "chain_costs", limit=240)
        rows.append(json.loads(path.read_text()))
        print(rows[-1], flush=True)
        for switch in ("disable", "enable"):
            rows.append(json.loads(self.call("step_bench", MODEL, "device=cuda", "qformat=fp8",
                                             f"rope_attention_fusion={switch}", "batch=1,16,64,256", "prefill=")))
            rows[-1]["rope_attention_fusion"] = switch
            rows.append({"rope_attention_fusion": switch, "latency": self.bench(
                "latency", 3, "--warmup", 1, "--rope_attention_fusion", switch)})
            print(rows[-2:], flush=True)
        return rows

    def norm_linear(self):
        """Norms inside the linears behind them: their tests, what they save in a chain of layers, and ITL without and
        with them. Group step has the steps. Not among the groups that run by default."""
        rows = [self.tests("*NormLinear*:NormedLowLatency.*"), self.kernels("chain_norms")]
        print(rows[-1], flush=True)
        for switch in ("disable", "enable"):
            rows.append({"norm_linear_fusion": switch, "latency": self.bench(
                "latency", 3, "--warmup", 1, "--norm_linear_fusion", switch)})
            print(rows[-1], flush=True)
        return rows

    def dataset(self, requests, length, output=None, model=MODEL):
        output = output or length
        path = self.out / "work" / f"requests-{pathlib.Path(model).name}-{requests}-{length}-{output}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.call("octavo", "bench", "dataset", "token-norm-dist", "--num_requests", requests, "--input_mean", length,
                  "--input_stdev", 0, "--output_mean", output, "--output_stdev", 0, "--tokenizer", model,
                  "--output", path)
        return path

    def bench(self, command, requests, *words, model=MODEL, qformat="fp8", limit=300):
        """Requests of 2048 tokens in and out, of random weights in a scheme, with the plugins that it has."""
        report = self.out / "work" / "report.json"
        options = [] if qformat == "full_prec" else ["--kv_cache_dtype", "fp8", "--use_fp8_context_fmha", "enable"]
        if qformat != "full_prec":
            options += ["--low_latency_gemm_plugin", "fp8"]
        if qformat == "fp8":
            options += ["--gemm_swiglu_plugin", "fp8"]
        self.call("octavo", "bench", command, "--model_dir", model, "--load_format", "dummy",
                  "--qformat", qformat, "--device", "cuda", "--max_seq_len", 4096, "--tokens_per_block", 64, *options,
                  "--dataset", self.dataset(requests, 2048, model=model), "--report_json", report, *words, limit=limit)
        return json.loads(report.read_text())["performance"]

    def steady(self, *words, window=45, **options):
        """1000 requests at once, within a window in which the batch is full."""
        return self.bench("throughput", 1000, "--max_num_tokens", 8192, "--protocol", "steady", "--window", window,
                          *(words or LARGEST_BATCH), **options)

    def latency(self):
        """ITL over 3 requests, one at a time."""
        return self.bench("latency", 3, "--warmup", 1)

    def throughput(self):
        """By how many sequences and how much of the memory the cache may have."""
        rows = []
        for batch, fraction in ((512, 0.95), (640, 0.97)):
            words = ["--max_batch_size", batch, "--kv_cache_free_gpu_mem_fraction", fraction]
            rows.append({"options": words} | self.steady(*words))
            print(rows[-1], flush=True)
        return rows

    def ranks(self):
        """Two GPUs and 70B shapes: tests, sums by every way, and the ways to share the model: ITL, TTFT, steady."""
        def saved(name, row):
            rows[name] = row
            print(name, json.dumps(row)[:1500], flush=True)
            (self.out / "ranks.json").write_text(json.dumps(rows, indent=1) + "\n")

        def attempt(name, work):
            try:
                saved(name, work())
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                saved(name, {"failed": str(error)[-2000:]})

        rows = {}
        attempt("tests", lambda: self.tests("*Peer*:RowShare*"))
        attempt("pipeline", lambda: self.call("pipeline_tests", "--gtest_brief=1", "--gtest_filter=*GpuRank*",
                                              limit=150).strip().splitlines()[-12:])
        attempt("sums", lambda: json.loads(self.call("cuda_comm_bench", 2, 10000)))
        shared = {"TP2": [("tp_size", 2)],
                  "TP2 + reduce fusion": [("tp_size", 2), ("reduce_fusion", "enable")],
                  "TP2 + reduce fusion + user buffer": [("tp_size", 2), ("reduce_fusion", "enable"),
                                                        ("user_buffer", "enable")],
                  "PP2": [("pp_size", 2)], "one GPU": []}
        for name, options in shared.items():
            words = [f"{option}={value}" for option, value in options]
            attempt(f"step, {name}", lambda w=words: json.loads(self.call(
                "step_bench", "configs/llama-3.3-70b", "device=cuda", "batch=1,8,16,64", "prefill=512,2048,8192",
                "gemm_swiglu_plugin=fp8", *w)))
        for name, options in shared.items():
            words = [word for option, value in options for word in (f"--{option}", str(value))]
            attempt(f"steady, {name}", lambda w=words: self.bench(
                "throughput", 400, "--max_batch_size", 256, "--max_num_tokens", 8192,
                "--kv_cache_free_gpu_mem_fraction", 0.95, "--protocol", "steady", "--window", 20, *w, limit=120,
                model="configs/llama-3.3-70b"))
        return rows

    def python(self):
        """What the Python package adds: its thread's processor time, and the same requests through the program."""
        home = self.files / "python"
        run = subprocess.run([str(home / "bin" / "python3"), "bench/pipeline/python_overhead.py", "--model_dir", MODEL,
                              "--vocabulary", "128256"], cwd=ROOT, capture_output=True, text=True, timeout=200,
                             env={**self.environment, "PYTHONHOME": str(home), "PYTHONPATH": str(home)}, check=False)
        if run.returncode not in (0, 1):
            raise RuntimeError(run.stderr[-2000:])
        report = self.out / "work" / "report.json"
        self.call("octavo", "bench", "throughput", "--model_dir", MODEL, "--load_format", "dummy", "--qformat", "fp8",
                  "--kv_cache_dtype", "fp8", "--device", "cuda", "--max_batch_size", 512, "--max_num_tokens", 8192,
                  "--max_seq_len", 384, "--low_latency_gemm_plugin", "fp8", "--gemm_swiglu_plugin", "fp8",
                  "--dataset", self.dataset(512, 128, 256), "--report_json", report)
        return {"python": json.loads(run.stdout), "program": json.loads(report.read_text())["performance"]}

    def case_study(self):
        """The 8B model through every step of the published study that one GPU has; short windows."""
        folder = self.out / "case_study"
        self.call("octavo", "case-study", "--model_dir", MODEL, "--load_format", "dummy", "--device", "cuda",
                  "--output_dir", folder, "--latency_requests", 8, "--window", 20, "--max_seq_len", 4096,
                  "--tokens_per_block", 64, "--max_batch_size", 512, "--kv_cache_free_gpu_mem_fraction", 0.95,
                  "--steps", "bf16", "fp8", "fp8-kv", "fp8-swiglu", "fp8-low-latency", "fp8-tuned", limit=560)
        return json.loads((folder / "case-study.json").read_text())

    def swiglu_quality(self):
        """Perplexity of pocket-llama with SwiGLU fused and not, also where gate's scale is 16 times that of up: equal
        within 0.05 %."""
        rows = []
        for ratio in (1, 16):
            model = self.scaled_gate(ratio)
            row = {"gate's scale": ratio}
            for name, plugin in (("unfused", None), ("gemm_swiglu", "gemm_swiglu_plugin"),
                                 ("low_latency", "low_latency_gemm_swiglu_plugin")):
                row[name] = self.perplexity(model, "cuda", *([f"--{plugin}", "fp8"] if plugin else []))
            row["difference"] = max(abs(row[name] / row["unfused"] - 1) for name in ("gemm_swiglu", "low_latency"))
            rows.append(row)
            print(row, flush=True)
        if any(row["difference"] > 5e-4 for row in rows):
            raise RuntimeError(json.dumps(rows))
        return rows

    def scaled_gate(self, ratio):
        """pocket-llama in FP8 whose gate has codes of 1 / ratio with a scale of ratio times its own: codes lose bits,
        the same ones fused and unfused."""
        folder = self.quantized("fp8", False)
        if ratio == 1:
            return folder
        to = self.out / "work" / f"gate-{ratio}"
        shutil.copytree(folder, to)
        file = to / "model.safetensors"
        data = bytearray(file.read_bytes())
        begin = 8 + int.from_bytes(data[:8], "little")
        for name, entry in json.loads(data[8:begin]).items():
            first, last = (begin + at for at in entry.get("data_offsets", (0, 0)))
            if name.endswith("gate_proj.weight_scale"):
                data[first:last] = struct.pack("<f", struct.unpack("<f", data[first:last])[0] * ratio)
            elif name.endswith("gate_proj.weight"):
                data[first:last] = bytes(divided_code(code, ratio) for code in data[first:last])
        file.write_bytes(data)
        return to

    def calibration(self):
        """70B shapes layer by layer on one GPU, and once more with hidden states that spill to the host."""
        rows = []
        for memory in (0, 2 << 30):
            rows.append(json.loads(self.call("calibration_bench", "configs/llama-3.3-70b", 32, 512, "cuda", memory,
                                             limit=300)))
        return rows

    def profile(self):
        """Where a decode step of one token, one of 256 and a prompt of 2048 tokens spend their time."""
        trace = self.out / "work" / "trace.txt"
        trace.parent.mkdir(parents=True, exist_ok=True)
        library = {"CUDA_INJECTION64_PATH": str(self.files / "libkernel_trace.so"), "KERNEL_TRACE": str(trace)}
        rows = {}
        fused = ["gemm_swiglu_plugin=fp8", "use_fp8_context_fmha=enable"]
        for name, settings in {"decode 1": ["batch=1", "prefill="], "decode 256": ["batch=256", "prefill="],
                               "prefill 2048": ["batch=", "prefill=2048", "rest_ms=200", *fused]}.items():
            self.call("step_bench", MODEL, "device=cuda", *settings, "steps=5", environment=library)
            rows[name] = self.last_step(trace)
        return rows

    @staticmethod
    def last_step(trace):
        """Of the last step in a trace: its kernels by name, and how much of its time no kernel ran."""
        kernels = sorted([line.split(" ", 4) for line in trace.read_text().splitlines()], key=lambda k: int(k[0]))
        starts = [i for i, kernel in enumerate(kernels) if "gather_ranges" in kernel[4]]
        step = kernels[starts[-2]:starts[-1]] if len(starts) > 1 else kernels
        total, busy, end = {}, 0, int(step[0][0])
        for first, last, _, _, name in step:
            short = re.sub(r"_?IL?[a-z0-9].*", "", re.sub(r"^_ZN.*?_GLOBAL__N__\w{8}_\d+_\w+?_cu_\w{8}_?\d*", "", name))
            count, before = total.get(short, (0, 0))
            total[short] = (count + 1, before + int(last) - int(first))
            busy += max(0, int(last) - max(int(first), end))
            end = max(end, int(last))
        whole = end - int(step[0][0])
        return {"us": whole / 1e3, "no_kernel_us": (whole - busy) / 1e3, "kernels": sorted(
            [{"kernel": name, "calls": count, "us": ns / 1e3} for name, (count, ns) in total.items()],
            key=lambda row: -row["us"]), "middle": Run.timeline(step)}

    @staticmethod
    def timeline(step):
        """The kernels of about two layers in the middle of a step: start and end in us."""
        some = step[len(step) // 2:len(step) // 2 + 24]
        zero = int(some[0][0])
        return [[(int(first) - zero) / 1e3, (int(last) - zero) / 1e3, name.rpartition("_cu_")[2][9:40]]
                for first, last, _, _, name in some]

    def faults(self):
        """What does not fit ends with its exit code and a message that says why, and at once."""
        def refused(model, *words):
            began = time.monotonic()
            command = [str(self.files / "octavo"), "bench", "latency", "--model_dir", str(model),
                       "--load_format", "dummy", "--device", "cuda", "--dataset", str(self.dataset(1, 512)),
                       *map(str, words)]
            done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60,
                                  check=False)
            return {"options": words, "exit": done.returncode, "seconds": round(time.monotonic() - began, 1),
                    "message": done.stderr.strip()[-400:]}

        # The 70B model in bfloat16 has 131.5 GiB, which an H200 holds; with half as many layers again it does not.
        config = json.loads((ROOT / "configs" / "llama-3.3-70b" / "config.json").read_text())
        larger = self.out / "work" / "llama-105b"
        larger.mkdir(parents=True, exist_ok=True)
        (larger / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 120}))
        rows = [refused(larger, "--qformat", "full_prec"),
                refused(MODEL, "--qformat", "fp8", "--kv_cache_free_gpu_mem_fraction", 0.0002)]
        if any(row["exit"] not in (2, 4, 6) for row in rows):
            raise RuntimeError(json.dumps(rows))
        return rows

    def kernels(self, *groups):
        """Groups of cuda_bench: all of them where none are named."""
        path = self.out / "work" / "kernels.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.call("cuda_bench", path, *groups, limit=240)
        return json.loads(path.read_text())
