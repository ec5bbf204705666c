#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <algorithm>
#include <chrono>

#include "core/base/check.hpp"
#include "core/collective/communicator.hpp"
#include "core/collective/device_transport.hpp"
#include "core/collective/rendezvous.hpp"
#include "core/collective/shared_memory.hpp"

namespace gauntlet::collective {
namespace {

/// How long an operation waits for the slowest rank, whose share of a job's rows may take longer. A rank that
/// is gone shows at once, as a closed connection.
constexpr std::chrono::minutes kPatience(10);

/// Runs a library call and gives its failures this box's type; `failed` remembers that there was one.
template <class Call>
auto translated(bool& failed, std::string_view doing, Call&& call) {
  try {
    return call();
  } catch (const c10::DistError& error) {
    failed = true;
    throw CollectiveFailure(fmt::format("{} failed: {}", doing, error.what_without_backtrace()));
  } catch (const ::gloo::Exception& error) {
    failed = true;
    throw CollectiveFailure(fmt::format("{} failed: {}", doing, error.what()));
  }
}

class GlooReducer final : public GradientReducer {
 public:
  GlooReducer(std::vector<torch::Tensor> parameters, const c10::intrusive_ptr<c10d::ProcessGroup>& group,
              bool& failed)
      : reducer_(make(parameters, group)), failed_(failed) {}

  void backward(const torch::Tensor& loss) override {
    translated(failed_, "averaging gradients", [&] {
      reducer_->prepare_for_backward({loss});
      loss.backward();
    });
  }

 private:
  static std::shared_ptr<c10d::Reducer> make(const std::vector<torch::Tensor>& parameters,
                                             const c10::intrusive_ptr<c10d::ProcessGroup>& group) {
    const std::vector<bool> sparse(parameters.size(), false);
    auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(
        parameters, {c10d::kDefaultFirstBucketBytes, c10d::kDefaultBucketBytesCap}, sparse);
    std::reverse(buckets.begin(), buckets.end());  // backward reaches the last parameters first
    const std::vector<std::int64_t> caps(limits.rbegin(), limits.rend());
    return std::make_shared<c10d::Reducer>(
        parameters, std::move(buckets), group, sparse, c10d::kDefaultBucketBytesCap,
        /*find_unused_parameters=*/true, /*gradient_as_bucket_view=*/false,
        std::unordered_map<std::size_t, std::string>{}, c10d::kDefaultFirstBucketBytes,
        /*skip_all_reduce_unused_params=*/false,
        /*use_python_reducer=*/false, caps);
  }

  std::shared_ptr<c10d::Reducer> reducer_;
  bool& failed_;  // of the communicator, which outlives it
};

class GlooCommunicator final : public Communicator {
 public:
  /// Buckets of gradients travel while backward still exchanges activations. Each kind has a group of its
  /// own, so that neither's order depends on the other's. `transport` (null without devices) carries what
  /// lies on devices; numbers of rows are always host memory's, so a device does not wait for them, and a
  /// rank that is gone is noticed there first.
  GlooCommunicator(const c10::intrusive_ptr<c10d::Store>& store, std::int64_t rank, std::int64_t world_size,
                   std::chrono::milliseconds timeout, std::string interface, DeviceTransport* transport)
      : interface_(std::move(interface)), rank_(rank), world_size_(world_size) {
    activations_ = make_backend(store, "activations", timeout);
    const auto gradients = make_backend(store, "gradients", timeout);
    gradients_ =
        c10::make_intrusive<c10d::ProcessGroup>(store, static_cast<int>(rank), static_cast<int>(world_size));
    gradients_->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, gradients);
    gradients_->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
    if (transport == nullptr) return;
    const auto connect = [&](const std::string& prefix) {
      return transport->connect(c10::make_intrusive<c10d::PrefixStore>(prefix, store), rank, world_size,
                                kPatience);
    };
    device_activations_ = connect("device activations");
    device_gradients_ = connect("device gradients");
    gradients_->setBackend(transport->device_type(), c10d::ProcessGroup::BackendType::NCCL,
                           device_gradients_);
  }

  /// Work of a device that waits for a rank that is gone never ends by itself.
  ~GlooCommunicator() override {
    for (const auto& device : {device_activations_, device_gradients_}) {
      if (device == nullptr) continue;
      failed_ ? device->abort() : device->shutdown();
    }
  }
  GlooCommunicator(const GlooCommunicator&) = delete;
  GlooCommunicator& operator=(const GlooCommunicator&) = delete;

  [[nodiscard]] std::int64_t rank() const override { return rank_; }
  [[nodiscard]] std::int64_t world_size() const override { return world_size_; }

  void all_reduce_sum_(torch::Tensor& tensor) override {
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> tensors = {tensor.contiguous()};
    wait_for("a sum over ranks", [&] { return carrier_of(tensor).allreduce(tensors); });
    if (!tensor.is_same(tensors.front())) tensor.copy_(tensors.front());
  }

  void broadcast_(torch::Tensor& tensor) override {
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> tensors = {tensor.contiguous()};
    wait_for("a broadcast", [&] { return carrier_of(tensor).broadcast(tensors); });
    if (!tensor.is_same(tensors.front())) tensor.copy_(tensors.front());
  }

  void barrier() override {
    wait_for("a barrier", [&] { return activations_->barrier(); });
  }

  [[nodiscard]] torch::Tensor all_reduce_sum(const torch::Tensor& tensor) override;
  [[nodiscard]] torch::Tensor gather_rows(const torch::Tensor& local) override;

  [[nodiscard]] std::unique_ptr<GradientReducer> make_reducer(
      std::vector<torch::Tensor> parameters) override {
    return std::make_unique<GlooReducer>(std::move(parameters), gradients_, failed_);
  }

  /// Number of rows of every rank.
  [[nodiscard]] std::vector<std::int64_t> row_counts(const torch::Tensor& local) {
    torch::Tensor counts = torch::zeros({world_size_}, torch::kInt64);
    counts[rank_] = local.size(0);
    all_reduce_sum_(counts);
    const std::int64_t* first = counts.const_data_ptr<std::int64_t>();
    return {first, first + world_size_};
  }

  /// Rows of all ranks in rank order, without gradient. Short ranks are padded on the way.
  [[nodiscard]] torch::Tensor gather_padded(const torch::Tensor& local,
                                            const std::vector<std::int64_t>& counts) {
    const torch::NoGradGuard no_grad;
    const std::int64_t most = *std::ranges::max_element(counts);
    std::vector<std::int64_t> shape = local.sizes().vec();
    shape.front() = most;
    torch::Tensor padded = local.detach().contiguous();
    if (local.size(0) < most) {
      padded = torch::zeros(shape, local.options());
      padded.narrow(0, 0, local.size(0)).copy_(local);
    }
    std::vector<std::vector<torch::Tensor>> parts(1);
    for (std::int64_t rank = 0; rank < world_size_; ++rank)
      parts.front().push_back(torch::empty(shape, local.options()));
    std::vector<torch::Tensor> inputs = {padded};
    wait_for("gathering rows", [&] { return carrier_of(padded).allgather(parts, inputs); });
    for (std::size_t rank = 0; rank < counts.size(); ++rank) {
      parts.front()[rank] = parts.front()[rank].narrow(0, 0, counts[rank]);
    }
    return torch::cat(parts.front());
  }

 private:
  /// What a tensor's memory travels over.
  [[nodiscard]] c10d::Backend& carrier_of(const torch::Tensor& tensor) const {
    if (tensor.device().is_cpu()) return *activations_;
    GAUNTLET_CHECK(device_activations_ != nullptr);  // a job's tensors are where its attempt says
    return *device_activations_;
  }

  template <class Start>
  void wait_for(std::string_view doing, const Start& start) {
    translated(failed_, doing, [&] { start()->wait(); });
  }

  /// Memory where all ranks have rank 0's address and see its memory; sockets of Gloo else.
  [[nodiscard]] c10::intrusive_ptr<c10d::Backend> make_backend(const c10::intrusive_ptr<c10d::Store>& all,
                                                               const std::string& prefix,
                                                               std::chrono::milliseconds timeout) const {
    const auto store = c10::make_intrusive<c10d::PrefixStore>(prefix, all);
    auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    options->devices.push_back(
        c10d::ProcessGroupGloo::createDeviceForHostname(interface_, /*lazyInit=*/false));
    const auto sockets = c10::make_intrusive<c10d::ProcessGroupGloo>(store, static_cast<int>(rank_),
                                                                     static_cast<int>(world_size_), options);
    if (world_size_ > 1) {
      if (auto memory = share_memory(*sockets, *store, interface_, kPatience)) return memory;
    }
    sockets->setTimeout(kPatience);
    return sockets;
  }

  std::string interface_;  ///< this rank's address
  std::int64_t rank_;
  std::int64_t world_size_;
  c10::intrusive_ptr<c10d::Backend> activations_;
  c10::intrusive_ptr<c10d::ProcessGroup> gradients_;
  c10::intrusive_ptr<c10d::Backend> device_activations_, device_gradients_;  // null without devices
  bool failed_ = false;
};

torch::Tensor summed_copy(GlooCommunicator& communicator, const torch::Tensor& tensor) {
  torch::Tensor sum = tensor.detach().clone(torch::MemoryFormat::Contiguous);
  communicator.all_reduce_sum_(sum);
  return sum;
}

/// y = sum over ranks of x; dx = sum over ranks of dy.
struct SumOverRanks : torch::autograd::Function<SumOverRanks> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& tensor,
                               std::int64_t communicator) {
    context->saved_data["communicator"] = communicator;
    return summed_copy(*reinterpret_cast<GlooCommunicator*>(communicator), tensor);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto* communicator = reinterpret_cast<GlooCommunicator*>(context->saved_data["communicator"].toInt());
    return {summed_copy(*communicator, gradients.front()), {}};
  }
};

/// y = rows of all ranks; dx = own rows of the sum over ranks of dy.
struct RowsOfRanks : torch::autograd::Function<RowsOfRanks> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& local,
                               std::int64_t communicator) {
    auto& ranks = *reinterpret_cast<GlooCommunicator*>(communicator);
    const std::vector<std::int64_t> counts = ranks.row_counts(local);
    std::int64_t first = 0;
    for (std::int64_t rank = 0; rank < ranks.rank(); ++rank) first += counts[static_cast<std::size_t>(rank)];
    context->saved_data["communicator"] = communicator;
    context->saved_data["first"] = first;
    context->saved_data["rows"] = local.size(0);
    return ranks.gather_padded(local, counts);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto* communicator = reinterpret_cast<GlooCommunicator*>(context->saved_data["communicator"].toInt());
    const torch::Tensor sum = summed_copy(*communicator, gradients.front());
    return {sum.narrow(0, context->saved_data["first"].toInt(), context->saved_data["rows"].toInt()), {}};
  }
};

torch::Tensor GlooCommunicator::all_reduce_sum(const torch::Tensor& tensor) {
  return SumOverRanks::apply(tensor, reinterpret_cast<std::int64_t>(this));
}

torch::Tensor GlooCommunicator::gather_rows(const torch::Tensor& local) {
  return RowsOfRanks::apply(local, reinterpret_cast<std::int64_t>(this));
}

bool is_timeout(std::string_view message) {
  return message.find("imed out") != std::string_view::npos ||
         message.find("imeout") != std::string_view::npos;
}

Result<std::unique_ptr<Communicator>> meet(const std::string& rendezvous_file, std::int64_t rank,
                                           std::int64_t world_size, int timeout_s,
                                           DeviceTransport* transport) {
  if (world_size < 1 || rank < 0 || rank >= world_size) {
    return fail(ErrorCode::kInvalid, "rank {} of {} does not exist; ranks count from 0", rank, world_size);
  }
  GAUNTLET_TRY(const Rendezvous rendezvous, parse_rendezvous(rendezvous_file));
  GAUNTLET_TRY(const auto store, open_store(rendezvous, rank, world_size, timeout_s));
  const std::chrono::milliseconds timeout = std::chrono::seconds(timeout_s);
  // Meeting the other ranks throws on every refusal, a late rank among them; nothing of ours runs in between.
  try {
    return std::make_unique<GlooCommunicator>(store, rank, world_size, timeout, rendezvous.interface,
                                              transport);
  } catch (const c10::Error& error) {
    const std::string reason = error.what_without_backtrace();
    return fail(is_timeout(reason) ? ErrorCode::kTimedOut : ErrorCode::kCollective,
                "rank {} of {} could not meet the others through {} within {} s: {}", rank, world_size,
                rendezvous_file, timeout_s, reason);
  } catch (const std::exception& error) {
    return fail(is_timeout(error.what()) ? ErrorCode::kTimedOut : ErrorCode::kCollective,
                "rank {} of {} could not meet the others through {} within {} s: {}", rank, world_size,
                rendezvous_file, timeout_s, error.what());
  }
}

}  // namespace

Result<std::unique_ptr<Communicator>> make_gloo_communicator(const std::string& rendezvous_file,
                                                             std::int64_t rank, std::int64_t world_size,
                                                             int timeout_s) {
  return meet(rendezvous_file, rank, world_size, timeout_s, nullptr);
}

Result<std::unique_ptr<Communicator>> make_device_communicator(const std::string& rendezvous_file,
                                                               std::int64_t rank, std::int64_t world_size,
                                                               int timeout_s, DeviceTransport& transport) {
  return meet(rendezvous_file, rank, world_size, timeout_s, &transport);
}

}  // namespace gauntlet::collective
