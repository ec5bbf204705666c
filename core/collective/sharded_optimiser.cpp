#include "core/collective/sharded_optimiser.hpp"

#include <ATen/ScalarOps.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/check.hpp"
#include "core/collective/detail/parameter_shards.hpp"
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
  return std::ranges::all_of(optimiser.param_groups(), [](const auto& group) {
    const auto is_plain = [](const torch::Tensor& parameter) {
      return parameter.device().is_cpu() && parameter.is_non_overlapping_and_dense();
    };
    return !static_cast<const AdamOptions&>(group.options()).amsgrad() &&
           std::ranges::all_of(group.params(), is_plain);
  });
}

}  // namespace

/// In the region, one after the other: a place for every parameter's values for each rank; both moments of
/// Adam; a byte for each rank and parameter. A step has two barriers. Before the first, each rank writes its
/// gradients of the others' shares to its place. Between them, it sums the gradients of its own share,
/// updates that, and writes the new values to its place, too. After the second, it reads the others' values.
/// So whoever is outside a step sees the moments at rest, and nobody writes what another may still read: the
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
    for (const Piece& piece : pieces_) {
      if (is_reached_[piece.parameter] && piece.owner != ranks_.rank())
        torch::Tensor(piece.values).copy_(piece.new_values);
    }
  }

 private:
  struct Piece : ShardPiece {
    std::int64_t owner = 0;
    torch::Tensor values;                  ///< the parameter's own
    std::vector<torch::Tensor> gradients;  ///< by rank, in its place; the owner's are its own affair
    torch::Tensor new_values;              ///< in the owner's place
    torch::Tensor moments[2];
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
  /// A tensor like a parameter, in the part of the region with that number.
  [[nodiscard]] torch::Tensor in_part(std::size_t part, std::size_t parameter) const;
  [[nodiscard]] std::byte& has_gradient(std::int64_t rank, std::size_t parameter) const;
  void lay_out();
  void make_own_adam();
  void publish_gradients();
  void note_reached();
  void take_up_state();
  void take_up(AdamParamState& state, std::size_t parameter, bool is_new);
  void update_own();

  Adam& whole_;
  std::vector<torch::Tensor> parameters_;
  Communicator& ranks_;
  std::shared_ptr<SharedRegion> region_;
  std::vector<std::size_t> offsets_;  ///< of each parameter's values within a part, in bytes
  std::vector<Moments> moments_;      ///< by parameter
  std::vector<Piece> pieces_;         ///< of all ranks, in order
  std::vector<Piece*> own_;
  std::unique_ptr<Adam> adam_;    ///< of the own pieces' values; its moments are those in the region
  std::vector<bool> is_reached_;  ///< by parameter: a rank has a gradient for it
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
  shards->make_own_adam();
  return shards;
}

std::size_t ShardedOptimiser::Shards::n_bytes_of_values() const {
  return parameters_.empty() ? 0 : offsets_.back() + in_cache_lines(parameters_.back().nbytes());
}

torch::Tensor ShardedOptimiser::Shards::in_part(std::size_t part, std::size_t parameter) const {
  const torch::Tensor& like = parameters_[parameter];
  std::byte* values = region_->memory() + part * n_bytes_of_values() + offsets_[parameter];
  // Whoever holds the tensor holds its memory.
  return torch::from_blob(
      values, like.sizes(), like.strides(), [region = region_](void*) {},
      like.options().requires_grad(false));
}

std::byte& ShardedOptimiser::Shards::has_gradient(std::int64_t rank, std::size_t parameter) const {
  const auto world_size = static_cast<std::size_t>(ranks_.world_size());
  std::byte* first = region_->memory() + (world_size + 2) * n_bytes_of_values();
  return first[static_cast<std::size_t>(rank) * parameters_.size() + parameter];
}

void ShardedOptimiser::Shards::lay_out() {
  const auto world_size = static_cast<std::size_t>(ranks_.world_size());
  std::vector<std::int64_t> n_values;
  for (std::size_t parameter = 0; parameter < parameters_.size(); ++parameter) {
    n_values.push_back(parameters_[parameter].numel());
    moments_.push_back({in_part(world_size, parameter), in_part(world_size + 1, parameter)});
  }
  const auto shards = shard_parameters(n_values, ranks_.world_size());
  for (std::size_t owner = 0; owner < world_size; ++owner) {
    for (const ShardPiece& run : shards[owner]) {
      Piece piece;
      static_cast<ShardPiece&>(piece) = run;
      piece.owner = static_cast<std::int64_t>(owner);
      piece.values = run_of(parameters_[run.parameter], run);
      for (std::size_t rank = 0; rank < world_size; ++rank)
        piece.gradients.push_back(run_of(in_part(rank, run.parameter), run));
      const bool is_own = piece.owner == ranks_.rank();
      piece.new_values =
          std::exchange(piece.gradients[owner], is_own ? torch::empty_like(piece.values) : torch::Tensor());
      piece.moments[0] = run_of(moments_[run.parameter].mean, run);
      piece.moments[1] = run_of(moments_[run.parameter].square, run);
      pieces_.push_back(std::move(piece));
    }
  }
  for (Piece& piece : pieces_)
    if (piece.owner == ranks_.rank()) own_.push_back(&piece);
}

/// With a group for each of the whole one's.
void ShardedOptimiser::Shards::make_own_adam() {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  std::size_t first = 0;
  for (const auto& group : whole_.param_groups()) {
    const std::size_t end = first + group.params().size();
    std::vector<torch::Tensor> values;
    for (const Piece* piece : own_)
      if (piece->parameter >= first && piece->parameter < end) values.push_back(piece->values);
    groups.emplace_back(std::move(values), group.options().clone());
    first = end;
  }
  adam_ = std::make_unique<Adam>(std::move(groups));
  for (const Piece* piece : own_) {
    auto state = std::make_unique<AdamParamState>();
    state->exp_avg(piece->moments[0]);
    state->exp_avg_sq(piece->moments[1]);
    adam_->state()[piece->values.unsafeGetTensorImpl()] = std::move(state);
  }
}

void ShardedOptimiser::Shards::publish_gradients() {
  // A mean over ranks as c10d::Reducer takes it: of gradients divided before they are summed.
  const torch::Tensor share =
      at::native::wrapped_scalar_tensor(1.0 / static_cast<double>(ranks_.world_size()));
  const auto own_place = static_cast<std::size_t>(ranks_.rank());
  for (std::size_t parameter = 0; parameter < parameters_.size(); ++parameter)
    has_gradient(ranks_.rank(), parameter) = std::byte{parameters_[parameter].grad().defined()};
  for (const Piece& piece : pieces_) {
    const torch::Tensor& parameter = parameters_[piece.parameter];
    GAUNTLET_CHECK(piece.values.const_data_ptr() ==
                   static_cast<const std::byte*>(parameter.const_data_ptr()) +
                       static_cast<std::size_t>(piece.first) * parameter.element_size());
    torch::Tensor place = piece.gradients[own_place];
    if (!parameter.grad().defined()) {
      place.zero_();
      continue;
    }
    torch::Tensor gradient = parameter.grad();
    if (gradient.strides() != parameter.strides()) gradient = torch::empty_like(parameter).copy_(gradient);
    at::mul_out(place, run_of(gradient, piece), share);
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
  for (const Piece* piece : own_) {
    if (piece->parameter != parameter) continue;
    for (const int which : {0, 1}) {
      torch::Tensor moment = piece->moments[which];
      if (is_new) {
        moment.zero_();
      } else {
        const torch::Tensor& old = which == 0 ? state.exp_avg() : state.exp_avg_sq();
        moment.copy_(run_of(torch::empty_like(like).copy_(old), *piece));
      }
    }
  }
  state.exp_avg(moments_[parameter].mean);
  state.exp_avg_sq(moments_[parameter].square);
}

void ShardedOptimiser::Shards::update_own() {
  for (std::size_t group = 0; group < whole_.param_groups().size(); ++group)
    adam_->param_groups()[group].set_options(whole_.param_groups()[group].options().clone());
  for (Piece* piece : own_) {
    torch::Tensor& gradient = piece->values.mutable_grad();
    if (!is_reached_[piece->parameter]) {
      gradient.reset();
      continue;
    }
    if (!gradient.defined()) gradient = torch::empty_like(piece->values);
    at::add_out(gradient, piece->gradients[0], piece->gradients[1]);
    for (std::size_t rank = 2; rank < piece->gradients.size(); ++rank) gradient.add_(piece->gradients[rank]);
    const auto& whole = *whole_.state().at(parameters_[piece->parameter].unsafeGetTensorImpl());
    auto& own = static_cast<AdamParamState&>(*adam_->state().at(piece->values.unsafeGetTensorImpl()));
    own.step(static_cast<const AdamParamState&>(whole).step() - 1);  // which it counts itself
  }
  adam_->step();
  for (Piece* piece : own_) {
    if (is_reached_[piece->parameter]) piece->new_values.copy_(piece->values);
  }
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
