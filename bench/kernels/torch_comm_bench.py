#!/usr/bin/env python3
# All-reduce by NCCL and by PyTorch's symmetric memory, timed as cuda_comm_bench times ours.
# SPDX-License-Identifier: Apache-2.0
"""torch_comm_bench.py [RANKS]: a process a GPU; [tokens, 8192] bfloat16, calls inside a CUDA graph. Prints one
JSON object. NVLink multicast stays off."""

import json
import os
import sys
import time

HIDDEN = 8192
SIZES = [1, 8, 64, 512, 2048, 8192]
SETTINGS = {"NCCL_NVLS_ENABLE": "0", "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": "29533"}


def time_call(torch, dist, call, tokens):
    calls, graphs = (50, 10) if tokens <= 64 else (10, 2)
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(calls):
            call()
    graph.replay()
    samples = []
    for _ in range(7):
        torch.cuda.synchronize()
        dist.barrier()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(graphs):
            graph.replay()
        torch.cuda.synchronize()
        samples.append((time.perf_counter() - start) / (calls * graphs))
    worst = torch.tensor(sorted(samples)[3], device="cuda")
    dist.all_reduce(worst, op=dist.ReduceOp.MAX)
    return 1e6 * worst.item()


def work(rank, ranks):
    os.environ.update(SETTINGS, RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank))
    import torch
    import torch.distributed as dist
    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", device_id=torch.device("cuda", rank))
    rows = []

    def measure(way, make):
        for tokens in SIZES:
            try:
                us = time_call(torch, dist, make(tokens), tokens)
                rows.append({"way": way, "tokens": tokens, "us": round(us, 2)})
            except Exception as error:  # a way that this machine lacks is a row, not the end
                rows.append({"way": way, "tokens": tokens, "error": str(error)[:200]})
                break

    def nccl(tokens):
        x = torch.randn(tokens, HIDDEN, device="cuda", dtype=torch.bfloat16) * 1e-3
        return lambda: dist.all_reduce(x)

    def symmetric(function):
        def make(tokens):
            import torch.distributed._symmetric_memory as symm_mem
            x = symm_mem.empty(tokens, HIDDEN, device="cuda", dtype=torch.bfloat16)
            symm_mem.rendezvous(x, dist.group.WORLD)
            x.normal_()
            x.mul_(1e-3)
            name = dist.group.WORLD.group_name
            return lambda: function(torch, x, name)
        return make

    measure("nccl", nccl)
    measure("symm_one_shot", symmetric(lambda torch, x, name: torch.ops.symm_mem.one_shot_all_reduce(x, "sum", name)))
    measure("symm_two_shot", symmetric(lambda torch, x, name: torch.ops.symm_mem.two_shot_all_reduce_(x, "sum", name)))
    if rank == 0:
        print(json.dumps({"ranks": ranks, "torch": torch.__version__, "rows": rows}), flush=True)
    dist.destroy_process_group()


def main():
    import torch.multiprocessing as mp
    ranks = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    mp.spawn(work, args=(ranks,), nprocs=ranks)


if __name__ == "__main__":
    main()
