#include "core/collective/sharded_optimiser.hpp"

#include <ATen/Dispatch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/base/check.hpp"
#include "core/collective/detail/parameter_shards.hpp"
#include "core/collective/detail/rank_kernels.hpp"
#include "core/collective/detail/shared_region.hpp"

namespace gauntlet::collective {
namespace {

using torch::optim::Adam;
using torch::optim::AdamOptions;
using torch::optim::AdamParamState;

constexpr std::size_t kCacheLine = 64;

std::size_t in_cache_lines(std::size_t n_bytes) {
  return (n_bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
}

/// Memory that all ranks see; null on all of them where one does not.
std::shared_ptr<SharedRegion> share_region(Communicator& ranks, std::size_t n_bytes) {
  std::array<char, 64> address = {};
  torch::Tensor told = torch::from_blob(address.data(), {address.size()}, torch::kUInt8);
  Result<std::unique_ptr<SharedRegion>> region = nullptr;
  if (ranks.rank() == 0) {
    region = SharedRegion::create(n_bytes);
    if (region) fmt::format_to_n(address.data(), address.size() - 1, "{}", (*region)->address());
  }
  ranks.broadcast_(told);
  if (ranks.rank() != 0) region = SharedRegion::open(address.data(), n_bytes);
  torch::Tensor n_mapped = torch::full({1}, region ? 1 : 0, torch::kInt64);
  ranks.all_reduce_sum_(n_mapped);
  if (n_mapped.item<std::int64_t>() < ranks.world_size()) return nullptr;
  return std::move(*region);
}

/// Values of a tensor in the order of its memory, [n]; the same memory.
torch::Tensor run_of(const torch::Tensor& tensor, const ShardPiece& piece) {
  return tensor.detach().as_strided({piece.n}, {1}, tensor.storage_offset() + piece.first);
}

bool is_sharable(const torch::optim::Optimizer& optimiser) {
  if (dynamic_cast<const Adam*>(&optimiser) == nullptr) return false;
  const torch::Dtype dtype = optimiser.param_groups().front().params().front().scalar_type();
  if (dtype != torch::kFloat32 && dtype != torch::kFloat64) return false;
  return std::ranges::all_of(optimiser.param_groups(), [dtype](const auto& group) {
    const auto is_plain = [dtype](const torch::Tensor& parameter) {
      return parameter.device().is_cpu() && parameter.is_non_overlapping_and_dense() &&
             parameter.scalar_type() == dtype;
    };
    return !static_cast<const AdamOptions&>(group.options()).amsgrad() &&
           std::ranges::all_of(group.params(), is_plain);
  });
}

/// Numbers of the step that a parameter's state has just counted. A mean over ranks is taken as
/// c10d::Reducer takes it: of gradients divided before they are summed.
AdamStep numbers_of(const AdamOptions& options, std::int64_t step, std::int64_t world_size) {
  const auto [beta1, beta2] = options.betas();
  const auto at = static_cast<double>(step);
  return {.gradient_scale = 1.0 / static_cast<double>(world_size),
          .weight_decay = options.weight_decay(),
          .beta1 = beta1,
          .beta2 = beta2,
          .root_of_correction2 = std::sqrt(1 - std::pow(beta2, at)),
          .eps = options.eps(),
          .step_size = options.lr() / (1 - std::pow(beta1, at))};
}

}  // namespace

/// In the region, one after the other: a place for every parameter's values for each rank; both moments of
/// Adam; a byte for each rank and parameter. A step has two barriers. Before the first, each rank writes its
/// gradients of the others' shares to its place. Between them, it updates its own share by the sum of all
/// gradients, and writes the new values to its place, too. After the second, it reads the others' values. So
/// whoever is outside a step sees the moments at rest, and nobody writes what another may still read: the
/// others' shares in a place are read between the barriers only, and its own share is not.
class ShardedOptimiser::Shards {
 public:
  /// Null where the ranks have no memory in common.
  [[nodiscard]] static std::unique_ptr<Shards> make(Adam& whole, std::vector<torch::Tensor> parameters,
                                                    Communicator& ranks);

  /// A step by the gradients that the parameters hold.
  void step() {
    const torch::NoGradGuard no_grad;
    publish_gradients();
    ranks_.barrier();
    note_reached();
    take_up_state();
    update_own();
    ranks_.barrier();
    for (const Piece& piece : others_)
      if (is_reached_[piece.parameter])
        std::memcpy(values_of(piece), in_part(piece.owner, piece), n_bytes_of(piece));
    gradients_.clear();
  }

 private:
  struct Piece : ShardPiece {
    std::int64_t owner = 0;
  };
  /// A parameter's moments as Adam holds them, in the region.
  struct Moments {
    torch::Tensor mean, square;
  };

  Shards(Adam& whole, std::vector<torch::Tensor> parameters, Communicator& ranks)
      : whole_(whole), parameters_(std::move(parameters)), ranks_(ranks), is_reached_(parameters_.size()) {}
  [[nodiscard]] std::size_t n_bytes_of_values() const;
  [[nodiscard]] std::size_t n_bytes() const {
    const auto world_size = static_cast<std::size_t>(ranks_.world_size());
    return (world_size + 2) * n_bytes_of_values() + world_size * parameters_.size();
  }
  [[nodiscard]] std::size_t n_bytes_of(const Piece& piece) const {
    return static_cast<std::size_t>(piece.n) * parameters_[piece.parameter].element_size();
  }
  /// Where a parameter's values begin in the part of the region with that number.
  [[nodiscard]] std::byte* in_part(std::int64_t part, std::size_t parameter) const {
    return region_->memory() + static_cast<std::size_t>(part) * n_bytes_of_values() + offsets_[parameter];
  }
  [[nodiscard]] std::byte* in_part(std::int64_t part, const Piece& piece) const {
    return in_part(part, piece.parameter) + offset_of(piece);
  }
  [[nodiscard]] std::byte* values_of(const Piece& piece) const {
    return in_memory_of(parameters_[piece.parameter], piece);
  }
  /// Of a tensor that lies in memory as the piece's parameter does.
  [[nodiscard]] std::byte* in_memory_of(const torch::Tensor& tensor, const Piece& piece) const {
    return static_cast<std::byte*>(tensor.data_ptr()) + offset_of(piece);
  }
  [[nodiscard]] std::size_t offset_of(const Piece& piece) const {
    return static_cast<std::size_t>(piece.first) * parameters_[piece.parameter].element_size();
  }
  [[nodiscard]] torch::Tensor moment(std::int64_t which, std::size_t parameter) const;
  [[nodiscard]] std::byte& has_gradient(std::int64_t rank, std::size_t parameter) const;
  void lay_out();
  void publish_gradients();
  void note_reached();
  void take_up_state();
  void take_up(AdamParamState& state, std::size_t parameter, bool is_new);
  [[nodiscard]] AdamStep numbers_for(const Piece& piece) const;
  template <class T>
  [[nodiscard]] std::vector<const T*> gradients_of(const Piece& piece) const;
  void update_own();

  Adam& whole_;
  std::vector<torch::Tensor> parameters_;
  Communicator& ranks_;
  std::shared_ptr<SharedRegion> region_;
  std::vector<std::size_t> offsets_;      ///< of each parameter's values within a part, in bytes
  std::vector<std::size_t> groups_;       ///< by parameter: its group's place
  std::vector<Moments> moments_;          ///< by parameter
  std::vector<Piece> own_, others_;       ///< pieces of this rank, and of the others; in order
  std::vector<bool> is_reached_;          ///< by parameter: a rank has a gradient for it
  std::vector<torch::Tensor> gradients_;  ///< by parameter, in its memory order; of this step
};

std::unique_ptr<ShardedOptimiser::Shards> ShardedOptimiser::Shards::make(
    Adam& whole, std::vector<torch::Tensor> parameters, Communicator& ranks) {
  const torch::NoGradGuard no_grad;
  std::unique_ptr<Shards> shards(new Shards(whole, std::move(parameters), ranks));
  std::size_t offset = 0;
  for (const torch::Tensor& parameter : shards->parameters_) {
    shards->offsets_.push_back(offset);
    offset += in_cache_lines(parameter.nbytes());
  }
  shards->region_ = share_region(ranks, shards->n_bytes());
  if (shards->region_ == nullptr) return nullptr;
  shards->lay_out();
  return shards;
}

std::size_t ShardedOptimiser::Shards::n_bytes_of_values() const {
  return parameters_.empty() ? 0 : offsets_.back() + in_cache_lines(parameters_.back().nbytes());
}

/// The first or second one of a parameter, in the region.
torch::Tensor ShardedOptimiser::Shards::moment(std::int64_t which, std::size_t parameter) const {
  const torch::Tensor& like = parameters_[parameter];
  // Whoever holds the tensor holds its memory.
  return torch::from_blob(
      in_part(ranks_.world_size() + which, parameter), like.sizes(), like.strides(),
      [region = region_](void*) {}, like.options().requires_grad(false));
}

std::byte& ShardedOptimiser::Shards::has_gradient(std::int64_t rank, std::size_t parameter) const {
  const auto world_size = static_cast<std::size_t>(ranks_.world_size());
  std::byte* first = region_->memory() + (world_size + 2) * n_bytes_of_values();
  return first[static_cast<std::size_t>(rank) * parameters_.size() + parameter];
}

void ShardedOptimiser::Shards::lay_out() {
  std::vector<std::int64_t> n_values;
  for (std::size_t parameter = 0; parameter < parameters_.size(); ++parameter) {
    n_values.push_back(parameters_[parameter].numel());
    moments_.push_back({moment(0, parameter), moment(1, parameter)});
  }
  for (std::size_t group = 0; group < whole_.param_groups().size(); ++group)
    groups_.insert(groups_.end(), whole_.param_groups()[group].params().size(), group);
  const auto shards = shard_parameters(n_values, ranks_.world_size());
  for (std::size_t owner = 0; owner < shards.size(); ++owner)
    for (const ShardPiece& run : shards[owner]) {
      const auto rank = static_cast<std::int64_t>(owner);
      (rank == ranks_.rank() ? own_ : others_).push_back({{run}, rank});
    }
}

void ShardedOptimiser::Shards::publish_gradients() {
  for (std::size_t parameter = 0; parameter < parameters_.size(); ++parameter) {
    torch::Tensor gradient = parameters_[parameter].grad();
    has_gradient(ranks_.rank(), parameter) = std::byte{gradient.defined()};
    if (gradient.defined() && gradient.strides() != parameters_[parameter].strides())
      gradient = torch::empty_like(parameters_[parameter]).copy_(gradient);
    gradients_.push_back(std::move(gradient));
  }
  for (const Piece& piece : others_) {
    const torch::Tensor& gradient = gradients_[piece.parameter];
    if (!gradient.defined()) continue;
    std::memcpy(in_part(ranks_.rank(), piece), in_memory_of(gradient, piece), n_bytes_of(piece));
  }
}

void ShardedOptimiser::Shards::note_reached() {
  for (std::size_t parameter = 0; parameter < parameters_.size(); ++parameter) {
    is_reached_[parameter] = false;
    for (std::int64_t rank = 0; rank < ranks_.world_size(); ++rank)
      if (has_gradient(rank, parameter) != std::byte{0}) is_reached_[parameter] = true;
  }
}

/// The whole optimiser's state of what takes part: made as Adam makes it, or as it was put back.
void ShardedOptimiser::Shards::take_up_state() {
  for (std::size_t parameter = 0; parameter < parameters_.size(); ++parameter) {
    if (!is_reached_[parameter]) continue;
    auto& held = whole_.state()[parameters_[parameter].unsafeGetTensorImpl()];
    const bool is_new = held == nullptr;
    if (is_new) held = std::make_unique<AdamParamState>();
    auto& state = static_cast<AdamParamState&>(*held);
    if (is_new || state.exp_avg().data_ptr() != moments_[parameter].mean.data_ptr())
      take_up(state, parameter, is_new);
    state.step(state.step() + 1);
  }
}

/// Puts this rank's share of a parameter's moments where all ranks see them.
void ShardedOptimiser::Shards::take_up(AdamParamState& state, std::size_t parameter, bool is_new) {
  const torch::Tensor& like = parameters_[parameter];
  for (const Piece& piece : own_) {
    if (piece.parameter != parameter) continue;
    for (const int which : {0, 1}) {
      const torch::Tensor& place = which == 0 ? moments_[parameter].mean : moments_[parameter].square;
      torch::Tensor own = run_of(place, piece);
      if (is_new) {
        own.zero_();
      } else {
        const torch::Tensor& old = which == 0 ? state.exp_avg() : state.exp_avg_sq();
        own.copy_(run_of(torch::empty_like(like).copy_(old), piece));
      }
    }
  }
  state.exp_avg(moments_[parameter].mean);
  state.exp_avg_sq(moments_[parameter].square);
}

AdamStep ShardedOptimiser::Shards::numbers_for(const Piece& piece) const {
  const auto& state = *whole_.state().at(parameters_[piece.parameter].unsafeGetTensorImpl());
  const auto& group = whole_.param_groups()[groups_[piece.parameter]];
  return numbers_of(static_cast<const AdamOptions&>(group.options()),
                    static_cast<const AdamParamState&>(state).step(), ranks_.world_size());
}

/// All ranks' gradients of an own piece, of those that have one.
template <class T>
std::vector<const T*> ShardedOptimiser::Shards::gradients_of(const Piece& piece) const {
  std::vector<const T*> gradients;
  for (std::int64_t rank = 0; rank < ranks_.world_size(); ++rank) {
    if (has_gradient(rank, piece.parameter) == std::byte{0}) continue;
    const bool is_own = rank == ranks_.rank();
    gradients.push_back(reinterpret_cast<const T*>(is_own ? in_memory_of(gradients_[piece.parameter], piece)
                                                          : in_part(rank, piece)));
  }
  return gradients;
}

void ShardedOptimiser::Shards::update_own() {
  if (own_.empty()) return;
  const std::int64_t mean = ranks_.world_size(), square = mean + 1;
  AT_DISPATCH_FLOATING_TYPES(parameters_.front().scalar_type(), "sharded_adam", [&] {
    const auto values = [](std::byte* memory) { return reinterpret_cast<scalar_t*>(memory); };
    for (const Piece& piece : own_) {
      if (!is_reached_[piece.parameter]) continue;
      const std::vector<const scalar_t*> gradients = gradients_of<scalar_t>(piece);
      adam_moments(numbers_for(piece), gradients, piece.n, values(values_of(piece)),
                   values(in_part(mean, piece)), values(in_part(square, piece)));
    }
    // In one call: own pieces follow each other, with zeros up to the next cache line.
    scalar_t* const squares = values(in_part(square, own_.front()));
    const std::int64_t n = values(in_part(square, own_.back())) + own_.back().n - squares;
    torch::Tensor roots = torch::empty({n}, parameters_.front().scalar_type());
    at::sqrt_out(roots, torch::from_blob(squares, {n}, parameters_.front().scalar_type()));
    for (const Piece& piece : own_) {
      if (!is_reached_[piece.parameter]) continue;
      const auto offset = values(in_part(square, piece)) - squares;
      adam_values(numbers_for(piece), piece.n, values(in_part(mean, piece)),
                  roots.const_data_ptr<scalar_t>() + offset, values(values_of(piece)),
                  values(in_part(ranks_.rank(), piece)));
    }
  });
}

ShardedOptimiser::ShardedOptimiser(std::unique_ptr<torch::optim::Optimizer> optimiser, Communicator& ranks)
    : optimiser_(std::move(optimiser)), ranks_(ranks) {}

ShardedOptimiser::~ShardedOptimiser() = default;

std::vector<torch::Tensor> ShardedOptimiser::parameters() const {
  std::vector<torch::Tensor> all;
  for (const auto& group : optimiser_->param_groups())
    all.insert(all.end(), group.params().begin(), group.params().end());
  return all;
}

/// In the first step, when the parameters' memory is where it stays.
void ShardedOptimiser::prepare() {
  if (shards_ != nullptr || reducer_ != nullptr) return;
  if (ranks_.world_size() > 1 && is_sharable(*optimiser_))
    shards_ = Shards::make(static_cast<Adam&>(*optimiser_), parameters(), ranks_);
  if (shards_ == nullptr) reducer_ = ranks_.make_reducer(parameters());
}

void ShardedOptimiser::step(const torch::Tensor& loss) {
  prepare();
  optimiser_->zero_grad();
  if (shards_ != nullptr) {
    loss.backward();
    shards_->step();
  } else {
    reducer_->backward(loss);
    optimiser_->step();
  }
}

}  // namespace gauntlet::collective
