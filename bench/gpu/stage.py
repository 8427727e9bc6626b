# What a GPU machine needs of the build machine: one archive in dist/gpu.
# SPDX-License-Identifier: Apache-2.0
"""Builds the cuda preset and packs stripped programs, the Python package, libraries that a bare machine may lack, text
and a small mixture of experts."""

import lzma
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STAGE = ROOT / "dist" / "gpu"
ARCHIVE = STAGE / "staged.tar.xz"
BUILD = ROOT / "build" / "cuda"
PROGRAMS = ["octavo", "tests/backend_cuda_tests", "tests/greedy_tool", "tests/logits_tool", "bench/cuda_bench",
            "bench/step_bench", "bench/calibration_bench", "bench/libkernel_trace.so"]
PROGRAMS_OF_RANKS = ["octavo", "tests/backend_cuda_tests", "tests/pipeline_tests", "bench/cuda_comm_bench",
                     "bench/step_bench"]
# Everything else that the programs need is on any Linux with a CUDA toolkit.
LIBRARIES = ("libcupti", "libfmt", "libspdlog", "libpcre2-8", "libutf8proc", "libxxhash", "libgtest", "libgmock",
             "libpython3", "libexpat")
LIMIT_BYTES = 40 << 20


def python_with_nanobind():
    """The interpreter that builds the package: the one of scripts/test."""
    python = ROOT / "build" / "python-build" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "nanobind==2.4.0"], check=True)
    return python


def copy_libraries(program):
    """Those that a bare machine may lack."""
    for line in subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines():
        words = line.split()
        if words[0].startswith(LIBRARIES) and len(words) > 2:
            shutil.copy(words[2], STAGE / words[0])


def stage_python():
    """The package and this interpreter: the module fits no other version, and a GPU machine may have another."""
    home = STAGE / "python"
    (home / "bin").mkdir(parents=True)
    shutil.copy(os.path.realpath(sys.executable), home / "bin" / "python3")
    copy_libraries(home / "bin" / "python3")
    standard = pathlib.Path(sysconfig.get_paths()["stdlib"])
    left_out = shutil.ignore_patterns("__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib",
                                      "lib2to3", "ensurepip", "tkinter", "pydoc_data", "config-*", "*.a")
    shutil.copytree(standard, home / "lib" / standard.name, ignore=left_out)
    shutil.copytree(ROOT / "python" / "octavo", home / "octavo")
    for module in (BUILD / "python").glob("_octavo*.so"):
        subprocess.run(["strip", "-o", home / "octavo" / module.name, module], check=True)


def stage(jobs, programs):
    targets = [pathlib.Path(p).stem.removeprefix("lib") for p in programs] + ["_octavo"]
    subprocess.run(["cmake", "--preset", "cuda", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache",
                    "-DCMAKE_CUDA_COMPILER_LAUNCHER=ccache", "-DOCTAVO_PYTHON=ON",
                    f"-DPython_EXECUTABLE={python_with_nanobind()}"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", BUILD, "-j", str(jobs), "--target", *targets], check=True)
    shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True)
    for program in programs:
        to = STAGE / pathlib.Path(program).name
        subprocess.run(["strip", "-o", to, BUILD / program], check=True)
        copy_libraries(to)
    data = ROOT.parent / "shared" / "data"
    for name in ("valid.jsonl", "calib.jsonl"):
        if (data / name).is_file():
            shutil.copy(data / name, STAGE / name)
    mixtral = ROOT.parent / "shared" / "models" / "pocket-mixtral"
    if mixtral.is_dir():
        (STAGE / mixtral.name).mkdir()
        for name in ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
                     "tokenizer_config.json"):
            shutil.copyfile(mixtral / name, STAGE / mixtral.name / name)
    stage_python()
    pack()
    size = ARCHIVE.stat().st_size
    print(f"{ARCHIVE}: {size / 2**20:.1f} MiB")
    if size > LIMIT_BYTES:
        sys.exit(f"more than {LIMIT_BYTES >> 20} MiB")


def pack():
    """One archive: the programs hold the same kernels, which a window as large as all of them finds again."""
    files = sorted(STAGE.iterdir())
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 128 << 20}]
    with lzma.open(ARCHIVE, "wb", filters=filters) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for file in files:
            archive.add(file, file.name)
    for file in files:
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink()
