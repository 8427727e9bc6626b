// DeviceStepSampler: samples on the device, so that the next step needs nothing of the host.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "ops/device_kernels.h"
#include "runtime/step_sampler.h"

namespace octavo {

struct SamplerLimits {
  int32_t slots = 0;
  int32_t vocab_size = 0;
  int steps_in_flight = 1;
  // Whether whoever puts the next step together has to know the tokens: ranks in other processes
  // cannot read them where they were sampled.
  bool tells_host = false;
};

class DeviceStepSampler final : public StepSampler {
 public:
  DeviceStepSampler(Device& device, const DeviceKernels& kernels, const SamplerLimits& limits);

  // With `tells_host` waits for the step that samples it.
  std::optional<int32_t> last_token(int32_t slot) const override;
  void follow(Device& device, int64_t step_id) override;
  void resolve(const StepBuffers& buffers, int64_t tokens, Device& device) override;
  void launch(const Step& step, const TensorView& logits) override;
  StepResult wait() override;

 private:
  // Staging memory that grows.
  struct Staging {
    std::shared_ptr<std::byte[]> memory;
    int64_t bytes = 0;
  };
  // One step in flight. The device writes results straight into staging memory.
  struct Record {
    Staging results, rows, histories;
    std::unique_ptr<DeviceEvent> done;
    int64_t step_id = 0;
    std::vector<SamplingRow> asked;

    SampledRow* sampled() const { return reinterpret_cast<SampledRow*>(results.memory.get()); }
  };

  TopLogprob* top_of(const Record& record) const;
  void begin_slots(const Step& step, Record& record);
  void upload_rows(const Step& step, Record& record);
  uint32_t* counts();
  static LaunchContext context(Device& device) { return {.stream = device.stream()}; }

  Device& device_;
  const DeviceKernels& kernels_;
  SamplerLimits limits_;
  std::shared_ptr<std::byte[]> last_token_;  // [slots] int32
  std::shared_ptr<std::byte[]> counts_;      // [slots, vocab_size], from the first penalty on
  Staging device_rows_;                      // what the device samples by: rows, then end ids
  std::vector<std::byte> uploaded_;          // what stands there
  std::vector<int32_t> told_;                // [slots]: what the host has seen
  std::vector<Record> records_;
  size_t next_ = 0;
  std::deque<Record*> in_flight_;
};

}  // namespace octavo
