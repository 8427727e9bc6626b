// Channels of a linear's input scaled before quantization, undone in whatever makes that input.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: W · x = (W · s) · (x / s) for any s > 0, and 1 / s moves into a norm's weight or into the
// rows of up_proj. The model computes the same; its weights quantize with another error. Which
// calls these are follows from the Program, so that every architecture has them.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "model/model_dir.h"

namespace octavo {

// Linears that read one tensor, and the weight that can undo a scaling of its channels.
struct FoldGroup {
  std::string producer;                // tensor: a norm's weight, or up_proj's, by its rows
  bool producer_rows = false;          // scale the rows of a matrix
  std::vector<std::string> consumers;  // modules
};

// Groups all of whose consumers are in `modules`.
std::vector<FoldGroup> fold_groups(const ModelDir& model, const std::set<std::string>& modules);

// The checkpoint with channels scaled. Norms keep their type: the factor that counts is the
// quotient of the old and the rounded new weight, so that their rounding adds no error. Matrices
// are float32.
class FoldedWeights final : public WeightSource {
 public:
  explicit FoldedWeights(std::shared_ptr<const WeightSource> source) : source_(std::move(source)) {}

  // Multiplies the columns of the consumers by about `scales` and undoes it in the producer.
  void fold(const FoldGroup& group, const std::vector<float>& scales);

  std::vector<std::string> names() const override { return source_->names(); }
  std::optional<WeightInfo> info(std::string_view name) const override;
  std::string file_of(std::string_view name) const override { return source_->file_of(name); }
  void verify_unchanged() const override { source_->verify_unchanged(); }
  void read(std::string_view name, int64_t row_begin,
            std::span<std::byte> destination) const override;

 private:
  std::vector<float> fold_norm(const std::string& name, const std::vector<float>& scales);

  std::shared_ptr<const WeightSource> source_;
  std::map<std::string, Tensor, std::less<>> norms_;
  std::map<std::string, std::vector<float>, std::less<>> columns_;  // factors, by tensor
  std::map<std::string, std::vector<float>, std::less<>> rows_;     // divisors, by tensor
};

}  // namespace octavo
