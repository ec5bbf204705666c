#include "core/run/bench_data.hpp"

#include <algorithm>
#include <chrono>

#include "core/base/files.hpp"
#include "core/base/random.hpp"
#include "core/collective/communicator.hpp"
#include "core/data/prepared_set.hpp"
#include "core/io/npy.hpp"
#include "core/models/backbone.hpp"
#include "core/train/batches.hpp"
#include "core/train/seeding.hpp"

namespace gauntlet::run {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kPx = 224, kPairs = 1024, kWords = 1386, kLabels = 24, kBatch = 32;
constexpr int kTurns = 5;
constexpr double kSecondsPerTurn = 3;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Random bytes below `limit` of 256; 0 and 1 when `limit` is 0.
Status write_noise(const std::filesystem::path& path, const std::vector<std::int64_t>& shape, bool binary) {
  GAUNTLET_TRY(io::NpyWriter writer, io::NpyWriter::create(path, io::DType::kU8, shape));
  std::int64_t row_size = 1;
  for (std::size_t side = 1; side < shape.size(); ++side) row_size *= shape[side];
  std::vector<std::uint8_t> row(static_cast<std::size_t>(row_size));
  RandomStream random = RandomStream::of(1, static_cast<std::uint64_t>(row_size), 0);
  for (std::int64_t item = 0; item < shape[0]; ++item) {
    for (std::uint8_t& value : row) value = static_cast<std::uint8_t>(random.below(binary ? 2 : 256));
    GAUNTLET_CHECK_OK(writer.append<std::uint8_t>(row));
  }
  return writer.finish();
}

/// All of it is the training set.
Result<data::PreparedSet> noise_set(const std::filesystem::path& folder) {
  GAUNTLET_CHECK_OK(write_noise(folder / "images.npy", {kPairs, kPx, kPx, 3}, false));
  GAUNTLET_CHECK_OK(write_noise(folder / "text.npy", {kPairs, kWords}, true));
  GAUNTLET_CHECK_OK(write_noise(folder / "labels.npy", {kPairs, kLabels}, true));
  std::vector<std::uint8_t> split(kPairs, 1);
  split.front() = 0;  // a set has a query
  GAUNTLET_CHECK_OK(io::write_npy<std::uint8_t>(folder / "split.npy", {kPairs}, split));
  GAUNTLET_CHECK_OK(write_file_atomic(folder / "dataset.json", "{}\n"));
  return data::PreparedSet::open(folder);
}

using Step = std::function<void(const torch::Tensor& images)>;

/// Pictures per second over at least so many seconds.
double rate_of(const std::function<torch::Tensor()>& next, const Step& step, double seconds) {
  step(next());  // warm
  const Clock::time_point start = Clock::now();
  std::int64_t n_pictures = 0;
  while (seconds_since(start) < seconds) {
    const torch::Tensor images = next();
    step(images);
    n_pictures += images.size(0);
  }
  return static_cast<double>(n_pictures) / seconds_since(start);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

class Bench {
 public:
  Bench(const DataBench& options, const data::PreparedSet& set)
      : options_(options),
        seconds_(options.quick ? kSecondsPerTurn / 5 : kSecondsPerTurn),
        batches_(train::make_batch_source(set, {.batch_size = kBatch, .seed = 1})),
        fixed_(next()) {}

  Result<Json> run() {
    Json figures = {{"threads", options_.n_threads}};
    tell("reading alone");
    figures["read_images_per_s"] = rate_of([this] { return next(); }, [](const torch::Tensor&) {}, seconds_);
    torch::manual_seed(1);
    GAUNTLET_TRY(const auto cnnf, backbone("cnnf", true));
    measure(
        "cnnf_forward",
        [&](const torch::Tensor& images) {
          const torch::NoGradGuard no_grad;
          static_cast<void>(cnnf->forward(images));
        },
        figures);
    GAUNTLET_TRY(const auto alexnet, backbone("alexnet", false));
    measure(
        "alexnet_training",
        [&](const torch::Tensor& images) { alexnet->forward(images).square().mean().backward(); }, figures);
    figures["prefetch_ratio"] = std::min(figures["cnnf_forward_prefetch_ratio"].get<double>(),
                                         figures["alexnet_training_prefetch_ratio"].get<double>());
    return figures;
  }

 private:
  /// With random weights: they do not change how long it takes.
  Result<std::shared_ptr<models::Backbone>> backbone(const char* name, bool frozen) const {
    models::BackboneConfig config;
    config.backbone = name;
    config.backbone_frozen = frozen;
    const models::ModelShape shape{.image_px = kPx, .text_dim = kWords, .n_labels = kLabels, .code_bits = 32};
    return models::make_backbone(config, shape, "bench data", solo_.get());
  }

  void tell(const std::string& what) const {
    if (options_.on_figure) options_.on_figure(what);
  }

  torch::Tensor next() {
    std::optional<models::TrainingBatch> batch = batches_->next();
    if (!batch) batch = batches_->next();
    return batch->images;
  }

  /// In turns, since the speed of a shared machine drifts.
  void measure(const std::string& name, const Step& step, Json& figures) {
    tell(name);
    std::vector<double> read, fixed, ratios;
    for (int turn = 0; turn < kTurns; ++turn) {
      fixed.push_back(rate_of([this] { return fixed_; }, step, seconds_));
      read.push_back(rate_of([this] { return next(); }, step, seconds_));
      ratios.push_back(read.back() / fixed.back());
    }
    figures[name + "_images_per_s"] = median(read);
    figures[name + "_fixed_images_per_s"] = median(fixed);
    figures[name + "_prefetch_ratio"] = median(ratios);
  }

  const DataBench& options_;
  std::unique_ptr<collective::Communicator> solo_ = collective::make_solo_communicator();
  double seconds_;
  std::unique_ptr<train::BatchSource> batches_;
  torch::Tensor fixed_;
};

}  // namespace

Result<Json> bench_data(const DataBench& bench) {
  train::set_threads(bench.n_threads);
  GAUNTLET_TRY(const data::PreparedSet set, noise_set(bench.folder));
  return Bench(bench, set).run();
}

}  // namespace gauntlet::run
