// From the mapped arrays of a prepared set to tensors: whole parts at once, or shuffled batches made ahead by
// a thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/data/prepared_set.hpp"
#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::train {

/// Pictures of the given items: [n, 3, H, W] float in [0,1], channels-last memory; or features [n, F] float.
[[nodiscard]] torch::Tensor images_of(const data::PreparedSet& set, std::span<const std::int64_t> items);
[[nodiscard]] torch::Tensor text_of(const data::PreparedSet& set,
                                    std::span<const std::int64_t> items);  ///< [n, D] float
/// Inputs of one modality as models take them.
[[nodiscard]] torch::Tensor inputs_of(const data::PreparedSet& set, Modality modality,
                                      std::span<const std::int64_t> items);
/// The same inputs in the type they are stored in: pictures u8 [n, 3, H, W] 0..255, binary texts u8 [n, D];
/// else float.
[[nodiscard]] torch::Tensor stored_inputs_of(const data::PreparedSet& set, Modality modality,
                                             std::span<const std::int64_t> items);
[[nodiscard]] torch::Tensor labels_of(const data::PreparedSet& set,
                                      std::span<const std::int64_t> items);  ///< [n, C] float 0/1

/// Image features of every item of a set, row-major, as a frozen backbone gave them once; they stand in for
/// the set's pictures. The owner of the values outlives it.
struct CachedFeatures {
  std::span<const float> values;
  std::int64_t width = 0;  ///< features of an item; 0 when there are none
};
/// Rows [n, width] float of the given items.
[[nodiscard]] torch::Tensor features_of(const CachedFeatures& features, std::span<const std::int64_t> items);

/// The shape a model for this set and code length has.
[[nodiscard]] models::ModelShape shape_for(const data::PreparedSet& set, std::int64_t code_bits);

/// An endless sequence of epochs.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  [[nodiscard]] virtual std::int64_t n_steps_per_epoch() const = 0;
  [[nodiscard]] virtual std::int64_t n_pairs() const = 0;    ///< training pairs an epoch may draw from
  [[nodiscard]] virtual std::int64_t n_skipped() const = 0;  ///< training items without a label, never drawn
  /// The epoch that the first next() is of, from 0; called before it or not at all.
  virtual void start_at(std::int64_t epoch) = 0;
  /// This rank's rows of the next global batch; nothing at the end of an epoch (the call after that starts
  /// the next).
  [[nodiscard]] virtual std::optional<models::TrainingBatch> next() = 0;
};

struct BatchOptions {
  std::int64_t batch_size = 256;  ///< pairs of the global batch; more than there are means one batch of all
  bool keeps_partial_batch = false;
  std::uint64_t seed = 0;  ///< of the order, which depends on nothing else
  std::int64_t rank = 0;
  std::int64_t world_size = 1;
  std::int64_t n_ahead = 2;            ///< batches made before they are asked for
  CachedFeatures image_features = {};  ///< images of a batch; the set's own pictures or features when empty
};

/// Batches over the set's training items (`rows` of a batch are positions within rows(Part::kTrain)), in a
/// new order every epoch. Ranks take consecutive slices of each global batch, so gathering them in rank order
/// gives that batch. The set outlives the source. Thread safety: next() from one thread.
[[nodiscard]] std::unique_ptr<BatchSource> make_batch_source(const data::PreparedSet& set,
                                                             const BatchOptions& options);

/// This rank's share of `n` rows: [begin, end) of consecutive slices whose sizes differ by at most one.
struct Slice {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
[[nodiscard]] Slice slice_of(std::int64_t n, std::int64_t rank, std::int64_t world_size);

}  // namespace gauntlet::train
