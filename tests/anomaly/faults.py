#!/usr/bin/env python3
# Runs `octavo` on every named bad input and compares exit code, message and what is left on disk.
# SPDX-License-Identifier: Apache-2.0
"""usage: faults.py PATH_TO_OCTAVO [ROW ...]     rows: S for all of a table, or S1"""
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import case_table
import cases_calibration
import cases_config
import cases_engine
import cases_flags
import cases_quantized
import cases_safetensors
import cases_shards
import cases_signals
import cases_tokenizer
import tiny_model

MODULES = [cases_safetensors, cases_shards, cases_config, cases_tokenizer, cases_calibration, cases_flags,
           cases_engine, cases_quantized]
WALL_LIMIT_S = 180  # a hang; a busy machine is no fault
PROGRAM_MEGABYTES = 64  # stacks of threads and what libraries keep
MESSAGE_LIMIT = 1100  # bytes: 1 KiB and "error: "
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Fixtures:
    """The valid inputs, made once with the program under test and copied for each case."""

    def __init__(self, octavo, folder):
        self.octavo, self.folder = octavo, Path(folder)
        tiny_model.make_model(self.folder / "model")
        common = [octavo, "quantize", "--model_dir", "model", "--calib_size", "2", "--calib_max_seq_length", "16"]
        self._run(common + ["--output_dir", "quantized", "--kv_cache_dtype", "fp8"])
        for name, qformat in cases_quantized.FIXTURES.items():
            self._run(common + ["--output_dir", name, "--qformat", qformat])
        self._run([octavo, "build", "--checkpoint_dir", "quantized", "--output_dir", "engine", "--max_batch_size", "4"])

    def _run(self, command):
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"the valid model is refused: {' '.join(command)}\n{done.stderr}")


def snapshot(folder):
    """Everything below a folder, by name, kind, size and time."""
    result = {}
    for root, directories, files in os.walk(folder):
        for name in directories + files:
            path = os.path.join(root, name)
            info = os.lstat(path)
            result[os.path.relpath(path, folder)] = (info.st_mode, info.st_size if name in files else 0, info.st_mtime_ns
                                                     if name in files else 0)
    return result


def prepared(command, case):
    """A shell sets the limits: code of ours between fork and exec could deadlock beside other threads."""
    setup = [f"ulimit -d {(case.megabytes + PROGRAM_MEGABYTES) << 10}"] if case.megabytes else []
    setup += [case.setup] if case.setup else []
    return ["sh", "-c", "; ".join(setup) + '; exec "$@"', "sh", *command] if setup else command


def run_limited(command, cwd, case):
    """Exit code, CPU seconds, stdout and stderr; the code is None where the program hangs."""
    environment = {**os.environ, **case.environment}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(prepared(command, case), cwd=cwd, stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                                 env=environment)
        killer = threading.Timer(WALL_LIMIT_S, child.kill)
        killer.start()
        _, status, usage = os.wait4(child.pid, 0)
        hung = not killer.is_alive()
        killer.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        return (None if hung else child.returncode, usage.ru_utime + usage.ru_stime,
                out.read().decode(errors="replace"), err.read().decode(errors="replace"))


def message_problems(case, code, out, err):
    if code == 0 or case.code == 0:
        if not re.search(case.message, err + out, re.S):
            yield f"no match for /{case.message}/ in: {(err + out)[-600:]!r}"
        return
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    if len(lines) != 1 or err.splitlines()[-1] != lines[0]:
        yield f"expected one line `error: …` at the end, got: {err[-600:]!r}"
        return
    if not re.search(case.message, lines[0]):
        yield f"no match for /{case.message}/ in: {lines[0]!r}"
    if len(lines[0].encode()) > MESSAGE_LIMIT or CONTROL.search(lines[0]):
        yield f"the message is too long or has control characters: {lines[0]!r}"


def left_problems(case, before, folder):
    """A refused job leaves the folder as it was."""
    after = snapshot(folder)
    changed = sorted(name for name in before if after.get(name) != before[name])
    if changed:
        yield f"inputs were changed: {changed[:5]}"
    new = sorted(name for name in after if name not in before and not re.search(r"(^|/)\.[^/]*\.lock$", name))
    if case.code != 0 and new:
        yield f"left behind: {new[:5]}"
    if case.code == 0 and any(".tmp" in name for name in new):
        yield f"temporary files left behind: {new}"


def run_case(case, fixtures, folder):
    folder = Path(folder)
    models = {}
    for name in ("model", "quantized", "engine", *cases_quantized.FIXTURES):
        if name in case.uses:
            models[name] = tiny_model.copy_model(fixtures.folder / name, folder / name)
    case.make(models, folder)
    before = snapshot(folder)
    words = [word.format(d=folder, out=folder / "out") for word in case.command]
    code, seconds, out, err = run_limited([fixtures.octavo, *words], folder, case)
    problems = []
    if code is None:
        problems.append(f"still running after {WALL_LIMIT_S} s")
    elif code < 0 or code == 70 or code != case.code:
        problems.append(f"expected exit {case.code}, got {code}: {err[-600:]!r}")
    else:
        problems += message_problems(case, code, out, err)
    if seconds > case.cpu_s:
        problems.append(f"took {seconds:.1f} s of CPU, limit {case.cpu_s} s")
    if case.check_left:
        problems += left_problems(case, before, folder)
    if case.after and not problems:
        problems += case.after(models, folder, out + err) or []
    return problems


def guarded(case, fixtures):
    folder = tempfile.mkdtemp(prefix="octavo_fault_")
    try:
        if isinstance(case, case_table.Scenario):
            return case, case.run(fixtures, Path(folder)) or []
        return case, run_case(case, fixtures, folder)
    except Exception as error:  # a broken case must not hide the others
        return case, [f"the case itself failed: {error!r}"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    octavo, rows = os.path.abspath(sys.argv[1]), sys.argv[2:]
    started = time.monotonic()
    # A shell starts background jobs with SIGINT ignored, and what is ignored stays so in the program.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    cases = [case for module in MODULES for case in module.cases()] + list(cases_signals.cases())
    if rows:
        cases = [case for case in cases if case.row in rows or case.row.rstrip("0123456789") in rows]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="octavo_faults_") as folder:
        fixtures = Fixtures(octavo, folder)
        with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            for case, problems in pool.map(lambda case: guarded(case, fixtures), cases):
                failed += bool(problems)
                for problem in problems:
                    print(f"FAILED {case.row} {case.what}: {problem}", flush=True)
    for row, reason in case_table.NOT_MET.items():
        print(f"not met: {row}: {reason}")
    rows_covered = len({case.row for case in cases})
    print(f"{rows_covered} rows, {time.monotonic() - started:.0f} s")
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
