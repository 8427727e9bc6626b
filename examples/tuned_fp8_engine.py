# The second sample: the first with an FP8 KV cache and the plugins that the guide goes on to switch on.
# SPDX-License-Identifier: Apache-2.0
from octavo import LLM, BuildConfig
from octavo.llmapi import QuantConfig, QuantAlgo, CalibConfig

def main():

    quant_config = QuantConfig(quant_algo=QuantAlgo.FP8,
                               kv_cache_quant_algo=QuantAlgo.FP8)

    calib_config = CalibConfig(
        calib_batches=512,
        calib_batch_size=1,
        calib_max_seq_length=2048,
        tokenizer_max_seq_length=4096
    )

    build_config = BuildConfig(
        max_num_tokens=16384,
        max_batch_size=512,
    )

    build_config.plugin_config.use_paged_context_fmha = True
    build_config.plugin_config.multiple_profiles = True
    build_config.plugin_config.reduce_fusion = True
    build_config.plugin_config.user_buffer = True
    build_config.plugin_config.gemm_swiglu_plugin = 'fp8'
    build_config.plugin_config.low_latency_gemm_plugin = 'fp8'

    llm = LLM(
        model="/path/to/Llama-3.3-70B",
        tensor_parallel_size=4,
        pipeline_parallel_size=1,
        build_config=build_config,
        quant_config=quant_config,
        calib_config=calib_config
    )

    llm.save("tuned_fp8_engine")

if __name__ == '__main__':
    main()
