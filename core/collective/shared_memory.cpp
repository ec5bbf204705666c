#include "core/collective/shared_memory.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include "core/base/check.hpp"
#include "core/collective/detail/shared_segment.hpp"
#include "core/torch.hpp"

namespace gauntlet::collective {
namespace {

constexpr const char* kAddressKey = "address of shared memory";

std::span<std::byte> bytes_of(const torch::Tensor& tensor) {
  GAUNTLET_CHECK(tensor.is_contiguous() || tensor.is_non_overlapping_and_dense());
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

c10::intrusive_ptr<c10d::Work> done(std::vector<at::Tensor> result) {
  auto future = c10::make_intrusive<c10::ivalue::Future>(c10::ListType::create(c10::TensorType::get()));
  future->markCompleted(c10::IValue(std::move(result)));
  return c10d::Work::create_from_future(future);
}

class SharedMemoryBackend final : public c10d::Backend {
 public:
  SharedMemoryBackend(std::int64_t rank, std::int64_t world_size, std::unique_ptr<SharedSegment> segment,
                      std::chrono::milliseconds timeout)
      : Backend(static_cast<int>(rank), static_cast<int>(world_size)),
        segment_(std::move(segment)),
        timeout_(timeout) {}

  const std::string getBackendName() const override { return "shared memory"; }
  void setTimeout(std::chrono::milliseconds timeout) override { timeout_ = timeout; }

  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<at::Tensor>& tensors,
                                           const c10d::AllreduceOptions& options) override {
    GAUNTLET_CHECK(options.reduceOp == c10d::ReduceOp::SUM);
    const at::Tensor& tensor = tensors.front();
    in_turns(bytes_of(tensor), /*writes=*/true,
             [&](std::span<std::byte> own) { sum_into(own, tensor.scalar_type()); });
    return done(tensors);
  }

  c10::intrusive_ptr<c10d::Work> allgather(std::vector<std::vector<at::Tensor>>& outputs,
                                           std::vector<at::Tensor>& inputs,
                                           const c10d::AllgatherOptions& /*options*/) override {
    const std::span<std::byte> own = bytes_of(inputs.front());
    in_turns(own, /*writes=*/true, [&](std::span<std::byte> part) {
      const auto offset = static_cast<std::size_t>(part.data() - own.data());
      for (int rank = 0; rank < getSize(); ++rank) {
        const std::span<std::byte> all = bytes_of(outputs.front()[static_cast<std::size_t>(rank)]);
        std::memcpy(all.data() + offset, segment_->buffer(rank), part.size());
      }
    });
    return done(outputs.front());
  }

  c10::intrusive_ptr<c10d::Work> broadcast(std::vector<at::Tensor>& tensors,
                                           const c10d::BroadcastOptions& options) override {
    const bool is_root = options.rootRank == getRank();
    in_turns(bytes_of(tensors.front()), is_root, [&](std::span<std::byte> part) {
      if (!is_root) std::memcpy(part.data(), segment_->buffer(options.rootRank), part.size());
    });
    return done(tensors);
  }

  c10::intrusive_ptr<c10d::Work> barrier(const c10d::BarrierOptions& /*options*/) override {
    turn(/*part=*/{}, /*writes=*/false, [](std::span<std::byte>) {});
    return done({});
  }

 private:
  template <class Read>
  void in_turns(std::span<std::byte> bytes, bool writes, const Read& read) {
    for (std::size_t begin = 0; begin < bytes.size(); begin += SharedSegment::kBufferBytes)
      turn(bytes.subspan(begin, std::min(SharedSegment::kBufferBytes, bytes.size() - begin)), writes, read);
  }

  template <class Read>
  void turn(std::span<std::byte> part, bool writes, const Read& read) {
    if (writes) std::memcpy(segment_->buffer(getRank()), part.data(), part.size());
    if (const Status arrived = segment_->arrive_and_wait(timeout_); !arrived)
      C10_THROW_ERROR(DistBackendError, arrived.error().message);
    read(part);
    segment_->next_turn();
  }

  /// Buffers are whole multiples of every type's size.
  void sum_into(std::span<std::byte> own, at::ScalarType type) const {
    const auto n_values = static_cast<std::int64_t>(own.size() / c10::elementSize(type));
    const auto view = [&](void* memory) { return torch::from_blob(memory, {n_values}, type); };
    at::Tensor sum = view(own.data());
    at::add_out(sum, view(segment_->buffer(0)), view(segment_->buffer(1)));
    for (int rank = 2; rank < getSize(); ++rank) sum.add_(view(segment_->buffer(rank)));
  }

  std::unique_ptr<SharedSegment> segment_;
  std::chrono::milliseconds timeout_;
};

/// Rank 0 tells the others where its memory is.
Result<std::unique_ptr<SharedSegment>> exchange(c10d::Store& store, std::int64_t rank,
                                                std::int64_t world_size, const std::string& host) {
  if (rank == 0) {
    Result<std::unique_ptr<SharedSegment>> own = SharedSegment::create(world_size);
    store.set(kAddressKey, own ? fmt::format("{} {}", (*own)->address(), host) : "none");
    return own;
  }
  const std::string told = store.get_to_str(kAddressKey);
  const std::size_t blank = told.find(' ');
  if (blank == std::string::npos || told.substr(blank + 1) != host)
    return fail(ErrorCode::kUnreachable, "rank 0 is on another machine than {}", host);
  return SharedSegment::open(told.substr(0, blank), rank, world_size);
}

}  // namespace

c10::intrusive_ptr<c10d::Backend> share_memory(c10d::Backend& meeting, c10d::Store& store,
                                               const std::string& host, std::chrono::milliseconds timeout) {
  const std::int64_t rank = meeting.getRank(), world_size = meeting.getSize();
  auto segment = exchange(store, rank, world_size, host);
  std::vector<at::Tensor> n_mapped = {torch::full({1}, segment ? 1 : 0, torch::kInt64)};
  meeting.allreduce(n_mapped)->wait();
  if (n_mapped.front().item<std::int64_t>() < world_size) return nullptr;
  (*segment)->watch_others();
  return c10::make_intrusive<SharedMemoryBackend>(rank, world_size, std::move(*segment), timeout);
}

}  // namespace gauntlet::collective
