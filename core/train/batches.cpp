#include "core/train/batches.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <numeric>
#include <thread>
#include <variant>

#include "core/base/check.hpp"
#include "core/models/epochs.hpp"
#include "core/train/device_batches.hpp"

namespace gauntlet::train {
namespace {

constexpr std::uint64_t kOrderTag = 0x4F524452;  // "ORDR"

/// byte / 255 as float, correctly rounded.
const std::array<float, 256>& unit_values() {
  static const std::array<float, 256> kValues = [] {
    std::array<float, 256> values{};
    for (std::size_t byte = 0; byte < values.size(); ++byte) values[byte] = static_cast<float>(byte) / 255.0F;
    return values;
  }();
  return kValues;
}

template <class To, class From, class Convert>
torch::Tensor gather(std::span<const From> all, std::int64_t n_values, std::span<const std::int64_t> items,
                     torch::Dtype dtype, const Convert& convert) {
  const auto width = static_cast<std::size_t>(n_values);
  torch::Tensor rows = torch::empty({static_cast<std::int64_t>(items.size()), n_values}, dtype);
  To* out = rows.mutable_data_ptr<To>();
  for (const std::int64_t item : items) {
    const std::span<const From> row = all.subspan(static_cast<std::size_t>(item) * width, width);
    out = std::ranges::transform(row, out, convert).out;
  }
  return rows;
}

torch::Tensor floats_of(std::span<const float> all, std::int64_t width, std::span<const std::int64_t> items) {
  return gather<float>(all, width, items, torch::kFloat32, std::identity{});
}

torch::Tensor flags_of(std::span<const std::uint8_t> all, std::int64_t width,
                       std::span<const std::int64_t> items) {
  return gather<float>(all, width, items, torch::kFloat32,
                       [](std::uint8_t flag) { return static_cast<float>(flag); });
}

torch::Tensor bytes_of(std::span<const std::uint8_t> all, std::int64_t width,
                       std::span<const std::int64_t> items) {
  return gather<std::uint8_t>(all, width, items, torch::kUInt8, std::identity{});
}

/// Rows of pixels as the [n, 3, H, W] view of channels-last memory.
torch::Tensor as_pictures(const torch::Tensor& rows, const data::PreparedSet& set) {
  return rows.view({rows.size(0), set.height(), set.width(), 3}).permute({0, 3, 1, 2});
}

bool has_label(const data::PreparedSet& set, std::int64_t item) {
  const auto width = static_cast<std::size_t>(set.n_labels());
  return std::ranges::any_of(set.labels().subspan(static_cast<std::size_t>(item) * width, width),
                             [](std::uint8_t flag) { return flag != 0; });
}

/// Makes batches on a thread of its own, which the first next() starts, `n_ahead` before they are asked for.
/// An empty optional ends each epoch.
class PrefetchedBatches final : public BatchSource {
 public:
  /// `stored`: pictures and texts in the type they are stored in.
  PrefetchedBatches(const data::PreparedSet& set, const BatchOptions& options, bool stored)
      : set_(set), options_(options), stored_(stored) {
    const std::vector<std::int64_t>& train = set.rows(data::Part::kTrain);
    for (std::size_t position = 0; position < train.size(); ++position) {
      if (has_label(set, train[position])) positions_.push_back(static_cast<std::int64_t>(position));
    }
    n_skipped_ = static_cast<std::int64_t>(train.size() - positions_.size());
    batch_size_ = std::min(options.batch_size, n_pairs());
    n_steps_ = batch_size_ == 0 ? 0 : n_pairs() / batch_size_;
    if (options.keeps_partial_batch && batch_size_ > 0 && n_pairs() % batch_size_ != 0) ++n_steps_;
  }

  ~PrefetchedBatches() override {
    maker_.request_stop();
    changed_.notify_all();
  }

  PrefetchedBatches(const PrefetchedBatches&) = delete;
  PrefetchedBatches& operator=(const PrefetchedBatches&) = delete;

  [[nodiscard]] std::int64_t n_steps_per_epoch() const override { return n_steps_; }
  [[nodiscard]] std::int64_t n_pairs() const override { return static_cast<std::int64_t>(positions_.size()); }
  [[nodiscard]] std::int64_t n_skipped() const override { return n_skipped_; }

  void start_at(std::int64_t epoch) override {
    GAUNTLET_CHECK(!maker_.joinable());
    first_epoch_ = epoch;
  }

  [[nodiscard]] std::optional<models::TrainingBatch> next() override {
    if (!maker_.joinable()) {
      maker_ = std::jthread([this](const std::stop_token& stop) { make_all(stop); });
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !ready_.empty(); });
    Made made = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    if (const auto* thrown = std::get_if<std::exception_ptr>(&made)) std::rethrow_exception(*thrown);
    return std::get<std::optional<models::TrainingBatch>>(std::move(made));
  }

 private:
  using Made = std::variant<std::optional<models::TrainingBatch>, std::exception_ptr>;

  void make_all(const std::stop_token& stop) {
    try {
      for (std::int64_t epoch = first_epoch_; !stop.stop_requested(); ++epoch) {
        const std::vector<std::int64_t> order = order_of(epoch);
        for (std::int64_t step = 0; step < n_steps_; ++step) {
          if (!hand_over(make(order, step), stop)) return;
        }
        if (!hand_over(std::optional<models::TrainingBatch>(), stop)) return;
      }
    } catch (...) {
      hand_over(std::current_exception(), stop);  // thrown again by the caller's next()
    }
  }

  [[nodiscard]] std::vector<std::int64_t> order_of(std::int64_t epoch) const {
    std::vector<std::int64_t> order = models::shuffled_rows(n_pairs(), options_.seed, kOrderTag, epoch);
    for (std::int64_t& place : order) place = positions_[static_cast<std::size_t>(place)];
    return order;
  }

  [[nodiscard]] std::optional<models::TrainingBatch> make(const std::vector<std::int64_t>& order,
                                                          std::int64_t step) const {
    const std::int64_t first = step * batch_size_;
    const std::int64_t n_rows = std::min(batch_size_, n_pairs() - first);
    const Slice slice = slice_of(n_rows, options_.rank, options_.world_size);
    const std::span<const std::int64_t> positions = std::span(order).subspan(
        static_cast<std::size_t>(first + slice.begin), static_cast<std::size_t>(slice.end - slice.begin));
    const std::vector<std::int64_t>& train = set_.rows(data::Part::kTrain);
    std::vector<std::int64_t> items;
    for (const std::int64_t position : positions) items.push_back(train[static_cast<std::size_t>(position)]);
    const auto inputs = [&](Modality modality) {
      return stored_ ? stored_inputs_of(set_, modality, items) : inputs_of(set_, modality, items);
    };
    return models::TrainingBatch{
        options_.image_features.width > 0 ? features_of(options_.image_features, items)
                                          : inputs(Modality::kImage),
        inputs(Modality::kText), labels_of(set_, items),
        torch::tensor(torch::ArrayRef<std::int64_t>(positions.data(), positions.size()), torch::kInt64)};
  }

  /// False once the source is being destroyed.
  bool hand_over(Made made, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    const auto n_ahead = static_cast<std::size_t>(std::max<std::int64_t>(options_.n_ahead, 1));
    changed_.wait(lock, [&] { return ready_.size() < n_ahead || stop.stop_requested(); });
    if (stop.stop_requested()) return false;
    ready_.push_back(std::move(made));
    lock.unlock();
    changed_.notify_all();
    return true;
  }

  const data::PreparedSet& set_;
  BatchOptions options_;
  bool stored_;
  std::vector<std::int64_t> positions_;  // of labelled items within rows(Part::kTrain)
  std::int64_t n_skipped_ = 0;
  std::int64_t batch_size_ = 0;
  std::int64_t n_steps_ = 0;
  std::int64_t first_epoch_ = 0;
  std::mutex mutex_;  // guards ready_
  std::condition_variable changed_;
  std::deque<Made> ready_;
  std::jthread maker_;  // last: stops before anything it uses goes
};

/// Stored inputs (bytes or float) as floats on a device.
torch::Tensor floats_on(torch::Device device, const torch::Tensor& stored) {
  const torch::Tensor there = stored.to(device);
  if (there.is_floating_point()) return there;
  const torch::Tensor values = there.to(torch::kFloat32);
  return values.dim() == 4 ? values / 255 : values;  // pictures have four dimensions, texts two
}

/// Moves the batches of another source.
class DeviceBatches final : public BatchSource {
 public:
  DeviceBatches(std::unique_ptr<BatchSource> stored, torch::Device device)
      : stored_(std::move(stored)), device_(device) {}

  [[nodiscard]] std::int64_t n_steps_per_epoch() const override { return stored_->n_steps_per_epoch(); }
  [[nodiscard]] std::int64_t n_pairs() const override { return stored_->n_pairs(); }
  [[nodiscard]] std::int64_t n_skipped() const override { return stored_->n_skipped(); }
  void start_at(std::int64_t epoch) override { stored_->start_at(epoch); }

  [[nodiscard]] std::optional<models::TrainingBatch> next() override {
    const std::optional<models::TrainingBatch> batch = stored_->next();
    if (!batch) return std::nullopt;
    return models::TrainingBatch{floats_on(device_, batch->images), floats_on(device_, batch->text),
                                 batch->labels.to(device_), batch->rows.to(device_)};
  }

 private:
  std::unique_ptr<BatchSource> stored_;
  torch::Device device_;
};

}  // namespace

torch::Tensor images_of(const data::PreparedSet& set, std::span<const std::int64_t> items) {
  if (set.feature_dim() > 0) return floats_of(set.features(), set.feature_dim(), items);
  const std::array<float, 256>& unit = unit_values();
  return as_pictures(gather<float>(set.images(), set.height() * set.width() * 3, items, torch::kFloat32,
                                   [&unit](std::uint8_t byte) { return unit[byte]; }),
                     set);
}

torch::Tensor features_of(const CachedFeatures& features, std::span<const std::int64_t> items) {
  return floats_of(features.values, features.width, items);
}

torch::Tensor text_of(const data::PreparedSet& set, std::span<const std::int64_t> items) {
  return set.text_is_binary() ? flags_of(set.text_u8(), set.text_dim(), items)
                              : floats_of(set.text_f32(), set.text_dim(), items);
}

torch::Tensor inputs_of(const data::PreparedSet& set, Modality modality,
                        std::span<const std::int64_t> items) {
  return modality == Modality::kImage ? images_of(set, items) : text_of(set, items);
}

torch::Tensor stored_inputs_of(const data::PreparedSet& set, Modality modality,
                               std::span<const std::int64_t> items) {
  if (modality == Modality::kText) {
    return set.text_is_binary() ? bytes_of(set.text_u8(), set.text_dim(), items) : text_of(set, items);
  }
  if (set.feature_dim() > 0) return images_of(set, items);
  return as_pictures(bytes_of(set.images(), set.height() * set.width() * 3, items), set);
}

torch::Tensor labels_of(const data::PreparedSet& set, std::span<const std::int64_t> items) {
  return flags_of(set.labels(), set.n_labels(), items);
}

models::ModelShape shape_for(const data::PreparedSet& set, std::int64_t code_bits) {
  return {.image_px = set.height(),
          .feature_dim = set.feature_dim(),
          .text_dim = set.text_dim(),
          .n_labels = set.n_labels(),
          .code_bits = code_bits};
}

std::unique_ptr<BatchSource> make_batch_source(const data::PreparedSet& set, const BatchOptions& options) {
  GAUNTLET_CHECK(options.batch_size > 0 && options.rank < options.world_size);
  return std::make_unique<PrefetchedBatches>(set, options, /*stored=*/false);
}

torch::Tensor inputs_on(torch::Device device, const data::PreparedSet& set, Modality modality,
                        std::span<const std::int64_t> items) {
  if (device.is_cpu()) return inputs_of(set, modality, items);
  return floats_on(device, stored_inputs_of(set, modality, items));
}

std::unique_ptr<BatchSource> make_device_batch_source(const data::PreparedSet& set,
                                                      const BatchOptions& options, torch::Device device) {
  if (device.is_cpu()) return make_batch_source(set, options);
  GAUNTLET_CHECK(options.batch_size > 0 && options.rank < options.world_size);
  return std::make_unique<DeviceBatches>(std::make_unique<PrefetchedBatches>(set, options, /*stored=*/true),
                                         device);
}

Slice slice_of(std::int64_t n, std::int64_t rank, std::int64_t world_size) {
  return {n * rank / world_size, n * (rank + 1) / world_size};
}

}  // namespace gauntlet::train
