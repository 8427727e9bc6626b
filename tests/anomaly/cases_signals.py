# P10, P6, P9, D16, P14: signals and kills while quantize and build write.
# SPDX-License-Identifier: Apache-2.0
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from case_table import BUILD, QUANTIZE, Case, Scenario
from tiny_model import copy_model

JOBS = {"quantize": (*QUANTIZE, "--calib_size", "24", "--calib_max_seq_length", "128", "--seed", "3"), "build": BUILD}


def tree(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def command(fixtures, job, out):
    return [fixtures.octavo, *[word.format(out=out) for word in JOBS[job]]]


def reference(fixtures, folder, job):
    """The whole output, and how long it takes."""
    copy_model(fixtures.folder / "model", folder / "model")
    started = time.monotonic()
    subprocess.run(command(fixtures, job, folder / "whole"), cwd=folder, capture_output=True, check=True)
    return tree(folder / "whole"), time.monotonic() - started


def interrupted(fixtures, folder, job, number):
    """A signal at random moments: exit 128 + signal within 5 s, and nothing half-written."""
    whole, seconds = reference(fixtures, folder, job)
    draw = random.Random(number)
    hit = 0
    for i in range(6):
        out = folder / f"out{i}"
        child = subprocess.Popen(command(fixtures, job, out), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(seconds * draw.random())
        child.send_signal(number)
        started = time.monotonic()
        error = child.communicate(timeout=60)[1]
        # Before the handler stands and after the job is done, the signal does what it always does.
        if child.returncode not in (0, 128 + number, -number):
            yield f"exit {child.returncode}: {error[-200:]!r}"
        hit += child.returncode == 128 + number
        if time.monotonic() - started > 20:
            yield "the job took more than 20 s to end"
        if out.exists() and tree(out) != whole:
            yield f"{out.name} is broken after signal {number}"
        if child.returncode == 128 + number and [name for name in os.listdir(folder) if ".tmp" in name or ".lock" in name]:
            yield f"temporary files are left: {os.listdir(folder)}"
    if job == "quantize" and not hit:
        yield "no signal was caught, of six at random moments"


def ignored(fixtures, folder):
    """nohup: what is ignored at the start stays ignored."""
    whole, seconds = reference(fixtures, folder, "build")
    ignoring = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]
    child = subprocess.Popen(ignoring + command(fixtures, "build", folder / "out"), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(seconds / 2)
    child.send_signal(signal.SIGHUP)
    error = child.communicate(timeout=60)[1]
    if child.returncode != 0:
        yield f"exit {child.returncode}: {error[-200:]!r}"


def killed(fixtures, folder, job, overwrite):
    """SIGKILL at random moments: the output is the whole old one, the whole new one or absent, and a rerun works."""
    whole, seconds = reference(fixtures, folder, job)
    draw = random.Random(len(job))
    out = folder / "out"
    more = ["--overwrite"] if overwrite else []
    if overwrite:
        subprocess.run(command(fixtures, job, out), cwd=folder, capture_output=True, check=True)
    for i in range(8):
        child = subprocess.Popen([*command(fixtures, job, out), *more], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds * draw.uniform(0.3, 1.0))
        child.kill()
        child.wait()
        if out.exists() and tree(out) != whole:
            yield f"kill {i}: the output is broken: {sorted(tree(out))}"
        if overwrite and not out.exists():
            # Only a file system without RENAME_EXCHANGE may leave a moment without either; the rerun restores it.
            yield f"kill {i}: the old output is gone"
    done = subprocess.run([*command(fixtures, job, out), "--overwrite"], cwd=folder, capture_output=True, timeout=120)
    if done.returncode != 0 or tree(out) != whole:
        yield f"the rerun failed: exit {done.returncode}: {done.stderr[-200:]!r}"
    left = [name for name in os.listdir(folder) if name.startswith(".out")]
    if left:
        yield f"the rerun leaves {left}"


def cases():
    for job in JOBS:
        for number in (signal.SIGTERM, signal.SIGINT):
            yield_case = lambda fixtures, folder, job=job, number=number: list(interrupted(fixtures, folder, job, number))
            yield Scenario("P10", f"{number.name} in {job}", yield_case)
        for overwrite in (False, True):
            run = lambda fixtures, folder, job=job, overwrite=overwrite: list(killed(fixtures, folder, job, overwrite))
            yield Scenario("P6", f"SIGKILL in {job}{', over an old output' * overwrite}", run)
    yield Scenario("P13", "SIGHUP ignored", lambda fixtures, folder: list(ignored(fixtures, folder)))
    for job in (QUANTIZE, BUILD):
        yield Case("P1", f"{job[0]}: file size limit", lambda models, folder: None, job, 5, r"out\S*/(model\.safetensors|rank0\.engine): cannot write .*File too large", setup="ulimit -f 100")
