// The module _octavo: the C++ API for the package octavo, which checks what reaches it.
// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "native_llm.h"
#include "octavo/error.h"

namespace nb = nanobind;

namespace octavo::python {
namespace {

// Lives as long as the process, like the module.
PyObject* error_factory = nullptr;

void raise(const Error& error) {
  const nb::object made = nb::borrow(error_factory)(std::string(to_string(error.category())),
                                                    error.what(), error.field(), error.file());
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    raise(error);
  }
}

QuantAlgo algo_of(const std::string& name, const std::string& field) {
  try {
    return parse_quant_algo(name);
  } catch (const Error& error) {
    const std::string reason = error.what();
    const size_t at = reason.find(": ");
    throw Error(error.category(), "", field, reason.substr(at == std::string::npos ? 0 : at + 2));
  }
}

void bind_build_options(nb::module_& m) {
  nb::class_<PluginConfig>(m, "PluginConfig")
      .def(nb::init<>())
      .def_rw("gemm_plugin", &PluginConfig::gemm_plugin)
      .def_rw("gemm_swiglu_plugin", &PluginConfig::gemm_swiglu_plugin)
      .def_rw("low_latency_gemm_plugin", &PluginConfig::low_latency_gemm_plugin)
      .def_rw("low_latency_gemm_swiglu_plugin", &PluginConfig::low_latency_gemm_swiglu_plugin)
      .def_rw("reduce_fusion", &PluginConfig::reduce_fusion)
      .def_rw("user_buffer", &PluginConfig::user_buffer)
      .def_rw("use_paged_context_fmha", &PluginConfig::use_paged_context_fmha)
      .def_rw("use_fp8_context_fmha", &PluginConfig::use_fp8_context_fmha)
      .def_rw("multiple_profiles", &PluginConfig::multiple_profiles)
      .def_rw("use_fused_mlp", &PluginConfig::use_fused_mlp)
      .def_rw("norm_quant_fusion", &PluginConfig::norm_quant_fusion)
      .def_rw("rope_attention_fusion", &PluginConfig::rope_attention_fusion)
      .def_rw("norm_linear_fusion", &PluginConfig::norm_linear_fusion);
  nb::class_<BuildConfig>(m, "BuildConfig")
      .def(nb::init<>())
      .def_rw("device", &BuildConfig::device)
      .def_rw("dtype", &BuildConfig::dtype)
      .def_rw("kv_cache_dtype", &BuildConfig::kv_cache_dtype)
      .def_rw("max_batch_size", &BuildConfig::max_batch_size)
      .def_rw("max_num_tokens", &BuildConfig::max_num_tokens)
      .def_rw("max_seq_len", &BuildConfig::max_seq_len, nb::arg().none())
      .def_rw("max_input_len", &BuildConfig::max_input_len, nb::arg().none())
      .def_rw("tokens_per_block", &BuildConfig::tokens_per_block)
      .def_rw("deterministic", &BuildConfig::deterministic)
      .def_rw("plugin_config", &BuildConfig::plugin_config);
  nb::class_<KvCacheConfig>(m, "KvCacheConfig")
      .def(nb::init<>())
      .def_rw("enable_block_reuse", &KvCacheConfig::enable_block_reuse)
      .def_rw("max_tokens", &KvCacheConfig::max_tokens)
      .def_rw("free_gpu_memory_fraction", &KvCacheConfig::free_gpu_memory_fraction);
}

void bind_quantization(nb::module_& m) {
  nb::enum_<QuantAlgo>(m, "QuantAlgo")
      .value("NO_QUANT", QuantAlgo::kNoQuant)
      .value("FP8", QuantAlgo::kFp8)
      .value("FP8_PER_CHANNEL_PER_TOKEN", QuantAlgo::kFp8PerChannelPerToken)
      .value("FP8_BLOCK_SCALES", QuantAlgo::kFp8BlockScales)
      .value("W8A16", QuantAlgo::kW8A16)
      .value("W4A16_AWQ", QuantAlgo::kW4A16Awq);
  m.def("parse_quant_algo", &algo_of, nb::arg("name"), nb::arg("field"));
  nb::class_<QuantConfig>(m, "QuantConfig")
      .def(nb::init<>())
      .def_rw("quant_algo", &QuantConfig::quant_algo, nb::arg().none())
      .def_rw("kv_cache_quant_algo", &QuantConfig::kv_cache_quant_algo, nb::arg().none())
      .def_rw("exclude_modules", &QuantConfig::exclude_modules)
      .def_rw("clamp_val", &QuantConfig::clamp_val, nb::arg().none())
      .def_rw("use_meta_recipe", &QuantConfig::use_meta_recipe)
      .def_rw("max_ppl_increase", &QuantConfig::max_ppl_increase, nb::arg().none());
  nb::class_<CalibConfig>(m, "CalibConfig")
      .def(nb::init<>())
      .def_rw("device", &CalibConfig::device)
      .def_rw("calib_dataset", &CalibConfig::calib_dataset)
      .def_rw("calib_batches", &CalibConfig::calib_batches)
      .def_rw("calib_batch_size", &CalibConfig::calib_batch_size)
      .def_rw("calib_max_seq_length", &CalibConfig::calib_max_seq_length)
      .def_rw("random_seed", &CalibConfig::random_seed)
      .def_rw("tokenizer_max_seq_length", &CalibConfig::tokenizer_max_seq_length)
      .def_rw("quality_dataset", &CalibConfig::quality_dataset)
      .def_rw("quality_tokens", &CalibConfig::quality_tokens)
      .def_rw("quality_context", &CalibConfig::quality_context);
}

void bind_sampling(nb::module_& m) {
  nb::class_<SamplingParams>(m, "SamplingParams")
      .def(nb::init<>())
      .def_rw("max_tokens", &SamplingParams::max_tokens)
      .def_rw("min_tokens", &SamplingParams::min_tokens)
      .def_rw("temperature", &SamplingParams::temperature, nb::arg().none())
      .def_rw("top_p", &SamplingParams::top_p, nb::arg().none())
      .def_rw("top_k", &SamplingParams::top_k, nb::arg().none())
      .def_rw("min_p", &SamplingParams::min_p, nb::arg().none())
      .def_rw("seed", &SamplingParams::seed, nb::arg().none())
      .def_rw("repetition_penalty", &SamplingParams::repetition_penalty, nb::arg().none())
      .def_rw("presence_penalty", &SamplingParams::presence_penalty, nb::arg().none())
      .def_rw("frequency_penalty", &SamplingParams::frequency_penalty, nb::arg().none())
      .def_rw("stop", &SamplingParams::stop)
      .def_rw("stop_token_ids", &SamplingParams::stop_token_ids)
      .def_rw("include_stop_str_in_output", &SamplingParams::include_stop_str_in_output)
      .def_rw("ignore_eos", &SamplingParams::ignore_eos)
      .def_rw("logprobs", &SamplingParams::logprobs, nb::arg().none())
      .def_rw("skip_special_tokens", &SamplingParams::skip_special_tokens)
      .def_rw("add_special_tokens", &SamplingParams::add_special_tokens);
  nb::class_<PromptInput>(m, "PromptInput")
      .def(nb::init<>())
      .def_rw("prompt", &PromptInput::prompt)
      .def_rw("prompt_token_ids", &PromptInput::prompt_token_ids)
      .def_rw("sampling", &PromptInput::sampling);
}

void bind_llm(nb::module_& m) {
  nb::class_<LLMArgs>(m, "LLMArgs")
      .def(nb::init<>())
      .def_rw("model", &LLMArgs::model)
      .def_rw("tensor_parallel_size", &LLMArgs::tensor_parallel_size)
      .def_rw("pipeline_parallel_size", &LLMArgs::pipeline_parallel_size)
      .def_rw("dtype", &LLMArgs::dtype)
      .def_rw("load_format", &LLMArgs::load_format)
      .def_rw("build_config", &LLMArgs::build_config)
      .def_rw("quant_config", &LLMArgs::quant_config)
      .def_rw("calib_config", &LLMArgs::calib_config)
      .def_rw("kv_cache_config", &LLMArgs::kv_cache_config)
      .def_rw("capacity_scheduler_policy", &LLMArgs::capacity_scheduler_policy)
      .def_rw("max_batch_size", &LLMArgs::max_batch_size)
      .def_rw("max_num_tokens", &LLMArgs::max_num_tokens)
      .def_rw("workspace", &LLMArgs::workspace)
      .def_rw("threads", &LLMArgs::threads);
  nb::class_<NativeLLM>(m, "NativeLLM")
      .def(nb::init<const LLMArgs&, bool>())
      .def("generate_async", &NativeLLM::generate_async)
      .def("save", &NativeLLM::save)
      .def("shutdown", &NativeLLM::shutdown);
  const auto released = nb::call_guard<nb::gil_scoped_release>();
  nb::class_<Notifier>(m, "Notifier")
      .def(nb::new_([] { return std::make_shared<Notifier>(); }))
      .def("fileno", &Notifier::fileno)
      .def("clear", &Notifier::clear);
  nb::class_<PendingCompletion>(m, "PendingCompletion")
      .def(
          "wait",
          [](const PendingCompletion& p, int64_t ms) {
            return p.wait_for(std::chrono::milliseconds(ms));
          },
          released)
      .def(
          "wait_end",
          [](const PendingCompletion& p, int64_t ms) {
            return p.wait_end_for(std::chrono::milliseconds(ms));
          },
          released)
      .def("ended", &PendingCompletion::ended)
      .def("has_piece", &PendingCompletion::has_piece)
      .def("try_next", &try_next)
      .def("ending", &ending)
      .def("cancel", &PendingCompletion::cancel, released)
      .def("subscribe", &subscribe);
}

}  // namespace
}  // namespace octavo::python

NB_MODULE(_octavo, m) {
  using namespace octavo::python;
  m.doc() = "The C++ API of Octavo; use the package octavo.";
  m.def("set_error_factory", [](nb::object factory) {
    Py_XDECREF(error_factory);
    error_factory = factory.release().ptr();
  });
  nb::register_exception_translator(translate);
  bind_build_options(m);
  bind_quantization(m);
  bind_sampling(m);
  bind_llm(m);
}
