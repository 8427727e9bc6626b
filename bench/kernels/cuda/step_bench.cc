// Benchmarks of the small ops and of one decode step of an 8B model, as a runner replays it.
// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "backend/cuda/attention/attention.h"
#include "backend/cuda/gemm/low_latency.h"
#include "backend/cuda/kernels.h"
#include "kernels/cuda/groups.h"
#include "kernels/cuda/probe.h"

namespace octavo::bench {
namespace {

const Kernel& kernel_named(std::string_view name) {
  for (const Kernel& kernel : cuda_kernels()) {
    if (kernel.name == name) return kernel;
  }
  throw Error(ErrorCategory::kInternal, fmt::format("[bench] no kernel {}", name));
}

TensorView view(Arena& arena, DType dtype, Shape shape) {
  return {arena.take(std::max<int64_t>(shape.elements() * size_of(dtype), 16)), dtype, shape};
}

template <typename T>
TensorView filled(Arena& arena, DType dtype, Shape shape, T value) {
  const TensorView to = view(arena, dtype, shape);
  const std::vector<T> values(shape.elements(), value);
  OCTAVO_CUDA_CHECK(
      cudaMemcpy(to.data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return to;
}

TensorView random_bf16(Arena& arena, Shape shape, float limit) {
  const TensorView to = view(arena, DType::kBF16, shape);
  fill_bf16(to.data, shape.elements(), limit, 5);
  return to;
}

// Columns [first, first + count) of a matrix.
TensorView columns(const TensorView& matrix, int64_t first, int64_t count) {
  TensorView slice = matrix;
  slice.data += first * size_of(matrix.dtype);
  slice.shape[1] = count;
  return slice;
}

// The calls of one layer, with the kernels named.
class Decoder {
 public:
  static constexpr int kLayers = 32;
  static constexpr int64_t kHidden = 4096, kHeads = 32, kKvHeads = 8, kHeadDim = 128;
  static constexpr int64_t kIntermediate = 14336, kVocab = 128256, kPage = 64;
  static constexpr int64_t kQkv = (kHeads + 2 * kKvHeads) * kHeadDim;

  struct Options {
    const char* linear;
    bool programmatic;
    bool bf16_cache;
    bool fused_swiglu = false;
    const char* linear_tactic = "";     // of the low-latency kernels
    bool rope_attention = false;        // RoPE, append and attention in one kernel
    const char* attention_tactic = "";  // of either attention
    const char* qkv_tactic = nullptr;   // null: linear_tactic
    const char* o_tactic = nullptr;
    bool normed_linear = false;  // norms inside the linears behind them
  };

  Decoder(Bench& bench, int64_t batch, int64_t context, const Options& options)
      : bench_(bench), options_(options), batch_(batch) {
    Arena& arena = bench.arena;
    arena.used = 0;
    cache_type_ = options.bf16_cache ? DType::kBF16 : DType::kE4M3;
    x_ = random_bf16(arena, {batch, kHidden}, 1.0f);
    residual_ = random_bf16(arena, {batch, kHidden}, 1.0f);
    next_residual_ = random_bf16(arena, {batch, kHidden}, 1.0f);
    normed_ = view(arena, DType::kE4M3, {batch, kHidden});
    qkv_ = view(arena, DType::kBF16, {batch, kQkv});
    attended_ = view(arena, DType::kE4M3, {batch, kHidden});
    gate_up_ = view(arena, DType::kBF16, {batch, 2 * kIntermediate});
    activated_ = view(arena, DType::kE4M3, {batch, kIntermediate});
    norm_ = random_bf16(arena, {kHidden}, 1.0f);
    frequency_ = filled<float>(arena, DType::kF32, {kHeadDim / 2}, 0.01f);
    scale_ = filled<float>(arena, DType::kF32, {1}, 0.01f);
    scales2_ = filled<float>(arena, DType::kF32, {2}, 0.002f);
    scales3_ = filled<float>(arena, DType::kF32, {3}, 0.002f);
    make_metadata(context);
    for (int i = 0; i < kLayers; ++i) layers_.push_back(make_layer());
    head_ = random_bf16(arena, {kVocab, kHidden}, 0.02f);
    logits_ = view(arena, DType::kF32, {batch, kVocab});
    ids_ = filled<int32_t>(arena, DType::kI32, {batch}, 17);
    final_ = view(arena, DType::kBF16, {batch, kHidden});
    workspace_ = {arena.take(64 << 20), 64 << 20};
    OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
  }

  void step() {
    call("cuda_embedding", {ids_, head_}, {x_});
    for (size_t i = 0; i < layers_.size(); ++i) layer(layers_[i], i == 0);
    call("cuda_add_rms_norm", {x_, residual_, norm_, {}}, {residual_, final_}, RmsNormParams{});
    call("cuda_linear_cublaslt", {final_, head_, {}, {}, {}}, {logits_}, LinearParams{});
  }

  double weight_bytes() const {
    const double layer = kQkv * kHidden + kHidden * kHidden + 3.0 * kIntermediate * kHidden;
    return kLayers * layer + 2.0 * kVocab * kHidden;
  }
  double cache_bytes(int64_t context) const {
    return 2.0 * kLayers * kKvHeads * kHeadDim * static_cast<double>(context) * batch_ *
           size_of(cache_type_);
  }
  double time() {
    return time_calls(
        bench_.stream, 1, [&](int) { step(); }, 15);
  }

 private:
  struct Layer {
    TensorView qkv, o, gate_up, down, k_cache, v_cache;
  };

  void make_metadata(int64_t context) {
    Arena& arena = bench_.arena;
    const int64_t pages = (context + kPage - 1) / kPage;
    std::vector<int32_t> table(batch_ * pages), starts(batch_);
    std::vector<int64_t> slots(batch_);
    for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int32_t>(i);
    for (int64_t i = 0; i < batch_; ++i) {
      starts[i] = static_cast<int32_t>(i);
      slots[i] = i * pages * kPage + context - 1;
    }
    blocks_ = batch_ * pages;
    const auto upload = [&](DType dtype, Shape shape, const void* data) {
      const TensorView to = view(arena, dtype, shape);
      OCTAVO_CUDA_CHECK(cudaMemcpy(to.data, data, to.bytes(), cudaMemcpyHostToDevice));
      return to;
    };
    table_ = upload(DType::kI32, {batch_, pages}, table.data());
    start_ = upload(DType::kI32, {batch_}, starts.data());
    slots_ = upload(DType::kI64, {batch_}, slots.data());
    queries_ = filled<int32_t>(arena, DType::kI32, {batch_}, 1);
    lengths_ = filled<int32_t>(arena, DType::kI32, {batch_}, static_cast<int32_t>(context));
    positions_ = filled<int32_t>(arena, DType::kI32, {batch_}, static_cast<int32_t>(context - 1));
  }

  Layer make_layer() {
    Arena& arena = bench_.arena;
    const auto weight = [&](int64_t n, int64_t k) { return view(arena, DType::kE4M3, {n, k}); };
    Layer layer = {.qkv = weight(kQkv, kHidden),
                   .o = weight(kHidden, kHidden),
                   .gate_up = weight(2 * kIntermediate, kHidden),
                   .down = weight(kHidden, kIntermediate)};
    const Shape cache = {blocks_, kKvHeads, kPage, kHeadDim};
    for (TensorView* to : {&layer.k_cache, &layer.v_cache}) {
      *to =
          options_.bf16_cache ? random_bf16(arena, cache, 1.0f) : view(arena, DType::kE4M3, cache);
    }
    return layer;
  }

  void layer(const Layer& layer, bool first) {
    const int64_t kv = kKvHeads * kHeadDim;
    const LinearParams qkv{{kHidden, kv, kv}};
    const char* const tactic = own(options_.qkv_tactic);
    if (first) {
      call("cuda_rms_norm", {x_, norm_, scale_}, {normed_}, RmsNormParams{});
      linear({normed_, layer.qkv, scale_, scales3_, {}}, qkv_, qkv, tactic);
    } else {
      norm_and_linear({layer.qkv, scale_, scales3_, {}}, qkv_, qkv, tactic);
    }
    attention(layer, options_.bf16_cache ? TensorView() : scale_);
    linear({attended_, layer.o, scale_, scale_, {}}, x_, {}, own(options_.o_tactic));
    gate_up(layer);
    linear({activated_, layer.down, scale_, scale_, {}}, x_, {}, options_.linear_tactic);
  }

  const char* own(const char* tactic) const {
    return tactic != nullptr ? tactic : options_.linear_tactic;
  }

  // y of linear, or the codes of linear_swiglu; `weights` are the inputs of a linear but for x. In
  // one kernel the sum may not be the residual: they change places.
  void norm_and_linear(std::vector<TensorView> weights, const TensorView& y,
                       const LinearParams& params, const char* tactic) {
    const bool swiglu = y.dtype == DType::kE4M3;
    if (options_.normed_linear) {
      weights.push_back(swiglu ? scale_ : TensorView());
      weights.insert(weights.begin(), {x_, residual_, norm_});
      call(swiglu ? "cuda_add_rms_norm_linear_swiglu" : "cuda_add_rms_norm_linear", weights,
           {next_residual_, y}, NormLinearParams{.segment_rows = params.segment_rows}, tactic);
      return std::swap(residual_, next_residual_);
    }
    call("cuda_add_rms_norm", {x_, residual_, norm_, scale_}, {residual_, normed_},
         RmsNormParams{});
    if (swiglu) weights.push_back(scale_);
    weights.insert(weights.begin(), normed_);
    call(swiglu ? "cuda_linear_swiglu_low_latency" : options_.linear, weights, {y}, params, tactic);
  }

  void attention(const Layer& layer, const TensorView& scale) {
    const int64_t kv = kKvHeads * kHeadDim;
    const TensorView q = columns(qkv_, 0, kHidden), k = columns(qkv_, kHidden, kv),
                     v = columns(qkv_, kHidden + kv, kv);
    const AttentionParams params{.num_heads = kHeads,
                                 .num_kv_heads = kKvHeads,
                                 .head_dim = kHeadDim,
                                 .softmax_scale = 0.0884f};
    if (options_.rope_attention) {
      call("cuda_rope_attention_decode",
           {q, k, v, positions_, frequency_, slots_, start_, queries_, lengths_, table_, scale,
            scale, scale_},
           {layer.k_cache, layer.v_cache, attended_}, params, options_.attention_tactic);
      return;
    }
    call("cuda_rope_kv_append", {q, k, v, positions_, frequency_, slots_, scale, scale},
         {q, layer.k_cache, layer.v_cache}, RopeParams{kHeadDim});
    call(
        "cuda_attention_decode",
        {q, layer.k_cache, layer.v_cache, start_, queries_, lengths_, table_, scale, scale, scale_},
        {attended_}, params, options_.attention_tactic);
  }

  void linear(const std::vector<TensorView>& inputs, const TensorView& output,
              const LinearParams& params, const char* tactic) {
    call(options_.linear, inputs, {output}, params, tactic);
  }

  void gate_up(const Layer& layer) {
    norm_and_linear({layer.gate_up, scale_, scales2_, {}},
                    options_.fused_swiglu ? activated_ : gate_up_,
                    LinearParams{{kIntermediate, kIntermediate}}, options_.linear_tactic);
    if (options_.fused_swiglu) return;
    call("cuda_swiglu",
         {columns(gate_up_, 0, kIntermediate), columns(gate_up_, kIntermediate, kIntermediate),
          scale_},
         {activated_});
  }

  void call(std::string_view name, std::vector<TensorView> inputs, std::vector<TensorView> outputs,
            const OpParams& params = {}, std::string_view tactic = {}) {
    const Kernel& kernel = kernel_named(name);
    LaunchContext context;
    context.stream = static_cast<cudaStream_t>(bench_.stream);
    context.programmatic_launch = options_.programmatic && kernel.traits.programmatic;
    context.workspace = workspace_;
    context.tactic = tactic;
    kernel.run({inputs, outputs, &params}, context);
  }

  Bench& bench_;
  Options options_;
  int64_t batch_;
  int64_t blocks_ = 0;
  DType cache_type_;
  std::vector<Layer> layers_;
  TensorView x_, residual_, next_residual_, normed_, qkv_, attended_, gate_up_, activated_, norm_,
      frequency_;
  TensorView scale_, scales2_, scales3_, head_, logits_, ids_, final_;
  TensorView table_, start_, slots_, queries_, lengths_, positions_;
  std::span<std::byte> workspace_;
};

// A kernel ignores a tactic that makes no sense; a benchmark must not.
void check_tactics(const Decoder::Options& options, int64_t batch) {
  constexpr int kMultiprocessors = 132;
  const int m = static_cast<int>(batch);
  const auto check = [&](int64_t n, int64_t k, const char* tactic) {
    const int columns = static_cast<int>(k);
    cuda::read_tactic(cuda::low_latency_config(m, static_cast<int>(n), columns, kMultiprocessors),
                      tactic != nullptr ? tactic : options.linear_tactic, m, columns);
  };
  check(Decoder::kQkv, Decoder::kHidden, options.qkv_tactic);
  check(Decoder::kHidden, Decoder::kHidden, options.o_tactic);
  check(2 * Decoder::kIntermediate, Decoder::kHidden, nullptr);
  check(Decoder::kHidden, Decoder::kIntermediate, nullptr);
  cuda::read_tactic(cuda::DecodePlan{}, options.attention_tactic);
}

void time_small_op(Bench& bench, std::string_view name, int64_t tokens,
                   const std::vector<TensorView>& inputs, const std::vector<TensorView>& outputs,
                   const OpParams& params) {
  const Kernel& kernel = kernel_named(name);
  double bytes = 0;
  for (const auto& list : {inputs, outputs}) {
    for (const TensorView& tensor : list) {
      if (tensor.shape.rank() < 4 && tensor.defined()) bytes += static_cast<double>(tensor.bytes());
    }
  }
  for (const bool programmatic : {false, true}) {
    LaunchContext context;
    context.stream = static_cast<cudaStream_t>(bench.stream);
    context.programmatic_launch = programmatic;
    const double us = time_calls(bench.stream, 20, [&](int) {
      kernel.run({inputs, outputs, &params}, context);
    });
    bench.results.add(
        R"({{"group": "small_ops", "kernel": "{}", "tokens": {}, "pdl": {}, "us": {:.2f}, )"
        R"("tbps": {:.2f}}})",
        name, tokens, programmatic, us, bytes / us * 1e-6);
  }
}

}  // namespace

void bench_small_ops(Bench& bench) {
  Arena& arena = bench.arena;
  for (const int64_t tokens : {1, 64, 2048, 8192}) {
    arena.used = 0;
    const TensorView x = random_bf16(arena, {tokens, 4096}, 1.0f);
    const TensorView residual = random_bf16(arena, {tokens, 4096}, 1.0f);
    const TensorView weight = random_bf16(arena, {4096}, 1.0f);
    const TensorView scale = filled<float>(arena, DType::kF32, {1}, 0.01f);
    const TensorView codes = view(arena, DType::kE4M3, {tokens, 4096});
    time_small_op(bench, "cuda_add_rms_norm", tokens, {x, residual, weight, scale},
                  {residual, codes}, RmsNormParams{});
    time_small_op(bench, "cuda_quantize", tokens, {x, scale}, {codes}, {});
    const TensorView gate_up = random_bf16(arena, {tokens, 28672}, 4.0f);
    time_small_op(bench, "cuda_swiglu", tokens,
                  {columns(gate_up, 0, 14336), columns(gate_up, 14336, 14336), scale},
                  {view(arena, DType::kE4M3, {tokens, 14336})}, {});
    const TensorView qkv = random_bf16(arena, {tokens, 6144}, 1.0f);
    const TensorView q = columns(qkv, 0, 4096);
    const Shape cache = {(tokens + 63) / 64, 8, 64, 128};
    std::vector<int64_t> slots(tokens);
    for (int64_t i = 0; i < tokens; ++i) slots[i] = i;
    const TensorView slot_view = view(arena, DType::kI64, {tokens});
    OCTAVO_CUDA_CHECK(cudaMemcpy(slot_view.data, slots.data(), tokens * 8, cudaMemcpyHostToDevice));
    time_small_op(bench, "cuda_rope_kv_append", tokens,
                  {q, columns(qkv, 4096, 1024), columns(qkv, 5120, 1024),
                   filled<int32_t>(arena, DType::kI32, {tokens}, 1000),
                   filled<float>(arena, DType::kF32, {64}, 0.01f), slot_view, scale, scale},
                  {q, view(arena, DType::kE4M3, cache), view(arena, DType::kE4M3, cache)},
                  RopeParams{128});
  }
}

void bench_decode_step(Bench& bench) {
  constexpr int64_t kContext = 3072;
  for (const int64_t batch : {1, 16}) {
    for (const Decoder::Options& options :
         {Decoder::Options{"cuda_linear_cublaslt", false, true},
          Decoder::Options{"cuda_linear_cublaslt", false, false},
          Decoder::Options{"cuda_linear_cublaslt", true, false},
          Decoder::Options{"cuda_linear_low_latency", false, false},
          Decoder::Options{"cuda_linear_low_latency", true, false}}) {
      Decoder decoder(bench, batch, kContext, options);
      const double us = decoder.time();
      const double floor = (decoder.weight_bytes() + decoder.cache_bytes(kContext)) / 4.66e12 * 1e6;
      bench.results.add(
          R"({{"group": "decode_step", "model": "8B", "batch": {}, "context": {}, )"
          R"("linear": "{}", "pdl": {}, "bf16_cache": {}, "us": {:.1f}, "floor_us": {:.1f}}})",
          batch, kContext, options.linear, options.programmatic, options.bf16_cache, us, floor);
    }
  }
}

namespace {

void time_chain(Bench& bench, int64_t batch, const Decoder::Options& options) {
  Decoder decoder(bench, batch, /*context=*/3072, options);
  const auto own = [&](const char* tactic) {
    return tactic != nullptr ? tactic : options.linear_tactic;
  };
  bench.results.add(
      R"({{"group": "chain_costs", "model": "8B", "batch": {}, "linear": "{}", "qkv": "{}", )"
      R"("o": "{}", "fused_swiglu": {}, "rope_attention": {}, "attention": "{}", )"
      R"("normed_linear": {}, "us": {:.1f}}})",
      batch, options.linear_tactic, own(options.qkv_tactic), own(options.o_tactic),
      options.fused_swiglu, options.rope_attention, options.attention_tactic, options.normed_linear,
      decoder.time());
}

}  // namespace

// What the hand-over from kernel to kernel costs in a step, by variants of who lets whom in when
// (docs/performance.md has the predictions, and what became of those that stood here before).
void bench_chain_costs(Bench& bench) {
  using Options = Decoder::Options;
  const Options base = {.linear = "cuda_linear_low_latency", .programmatic = true};
  // The best of each pair that has been measured.
  Options best = base;
  best.fused_swiglu = true;
  Options fused = best;
  fused.rope_attention = true;
  const auto variant = [](Options from, const char* attention, const char* o = nullptr,
                          const char* qkv = nullptr) {
    from.attention_tactic = attention;
    from.o_tactic = o;
    from.qkv_tactic = qkv;
    return from;
  };
  const char* const small = "ring 116 fill 9";  // beside attention; all of it at once
  const char* const whole = "fill 9";
  const std::vector<Options> variants = {
      base, best, variant(best, "keys", small), variant(best, "keys short", whole), fused,
      variant(fused, "keys", small), variant(fused, "short", whole),
      variant(fused, "keys short", whole), variant(fused, "keys short", ""),
      variant(fused, "early keys", small, "ring 116"),
      variant(fused, "early keys short", whole, "ring 148"),
      // Shares for a lone sequence: for 16 the plan has them in two parts already.
      variant(fused, "split 8"), variant(fused, "split 8 keys", small),
      variant(fused, "early split 8 keys", small, "ring 116"), base};
  for (const int64_t batch : {1, 16}) {
    for (const Options& options : variants) {
      if (batch > 1 && std::strstr(options.attention_tactic, "split") != nullptr) continue;
      check_tactics(options, batch);
      time_chain(bench, batch, options);
    }
  }
}

// The same with norms inside the linears behind them, by the kernels beside them. Two stages of
// weights ahead is what linears do by themselves; 9 are all that fit.
void bench_chain_norms(Bench& bench) {
  using Options = Decoder::Options;
  const Options base = {.linear = "cuda_linear_low_latency", .programmatic = true};
  for (const int64_t batch : {1, 2, 4, 8}) {
    time_chain(bench, batch, base);
    for (const char* const tactic : {"", "fill 9"}) {
      if (batch > 1 && *tactic != 0) continue;
      for (const bool rope_attention : {false, true}) {
        for (const bool fused_swiglu : {false, true}) {
          Options options = base;
          options.linear_tactic = tactic;
          options.rope_attention = rope_attention;
          options.fused_swiglu = fused_swiglu;
          time_chain(bench, batch, options);
          options.normed_linear = true;
          time_chain(bench, batch, options);
        }
      }
    }
  }
}

}  // namespace octavo::bench
