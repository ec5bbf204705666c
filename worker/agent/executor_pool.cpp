#include "worker/agent/executor_pool.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "core/base/check.hpp"
#include "core/proto/frame.hpp"

namespace gauntlet::worker {
namespace {

/// Executors with so many attempts in hand have enough to do until the answers to the next few are read,
/// after so long, together.
constexpr std::size_t kEnoughInHand = 5;
constexpr std::chrono::milliseconds kAnswerPause{4};

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Result<Executor*> ExecutorPool::idle(ExecutorKind kind, std::optional<std::uint32_t> gpu) {
  for (Executor& executor : executors_) {
    if (executor.kind == kind && executor.gpu == gpu && executor.leases.empty() && !executor.ending &&
        !executor.launched)
      return &executor;
  }
  return start(kind, gpu);
}

Result<Executor*> ExecutorPool::noop() {
  for (Executor& executor : executors_) {
    if (executor.kind == ExecutorKind::kNoop && !executor.ending) return &executor;
  }
  return start(ExecutorKind::kNoop, std::nullopt);
}

std::size_t ExecutorPool::count(ExecutorKind kind) const {
  return static_cast<std::size_t>(
      std::count_if(executors_.begin(), executors_.end(),
                    [&](const Executor& executor) { return executor.kind == kind && !executor.ending; }));
}

bool ExecutorPool::has_idle(ExecutorKind kind) const {
  return std::any_of(executors_.begin(), executors_.end(), [&](const Executor& executor) {
    return executor.kind == kind && executor.leases.empty() && !executor.ending;
  });
}

bool ExecutorPool::has_waiting() const {
  return std::ranges::any_of(
      executors_, [](const Executor& executor) { return executor.board && executor.leases.size() > 1; });
}

Result<Executor*> ExecutorPool::start(ExecutorKind kind, std::optional<std::uint32_t> gpu) {
  Command command = kind == ExecutorKind::kRank ? programs_.rank : programs_.light;
  if (kind == ExecutorKind::kRank) {
    // A rank sees its own device only, as number 0; a rank without one sees none.
    command.environment.emplace_back("CUDA_VISIBLE_DEVICES", gpu ? fmt::format("{}", *gpu) : std::string());
  }
  const auto machines_fault = [](Error error) {  // another worker may have the program
    if (error.code != ErrorCode::kNoSpace) error.code = ErrorCode::kIo;
    return fail(std::move(error));
  };
  std::optional<AttemptBoard> board;
  if (kind == ExecutorKind::kLight) {
    Result<AttemptBoard> made = AttemptBoard::make();
    if (!made) return machines_fault(std::move(made.error()));
    board.emplace(std::move(*made));
    command.arguments.insert(command.arguments.end(), {"--board", fmt::format("{}", board->descriptor())});
    command.inherited.push_back(board->descriptor());
  }
  const std::uint64_t id = next_id_++;
  Result<std::shared_ptr<ExecutorProcess>> started =
      ExecutorProcess::start(context_, command, handlers_of(id));
  if (!started) return machines_fault(std::move(started.error()));
  std::shared_ptr<ExecutorProcess> process = std::move(*started);
  if (board) board->close_descriptor();
  spdlog::debug("started {} (process {})", command.program.filename().string(), process->pid());
  Executor& executor = executors_.emplace_back();
  executor.kind = kind;
  executor.gpu = gpu;
  executor.id = id;
  executor.process = std::move(process);
  executor.board = std::move(board);
  return &executor;
}

ExecutorLink::Handlers ExecutorPool::handlers_of(std::uint64_t id) {
  return {[this, id](const proto::Frame& frame) { take(id, frame); },
          [this, id](const Ending& ending) { died(id, ending); }, [this, id] { return patience_with(id); }};
}

std::chrono::milliseconds ExecutorPool::patience_with(std::uint64_t id) {
  const Executor* const executor = find(id);
  const bool has_enough = executor != nullptr && executor->board && executor->leases.size() >= kEnoughInHand;
  return has_enough ? kAnswerPause : std::chrono::milliseconds(0);
}

Result<std::vector<Executor*>> ExecutorPool::launch(GangOptions options, GangHandlers handlers) {
  const std::size_t world = options.layout.world();
  const auto place = gangs_.emplace(gangs_.end());
  LaunchedGang::Handlers of_gang;
  of_gang.on_output = std::move(handlers.on_output);
  of_gang.on_refused = std::move(handlers.on_refused);
  of_gang.on_over = [this, place] { gangs_.erase(place); };
  auto started = LaunchedGang::start(context_, std::move(options), std::move(of_gang));
  if (!started) {
    gangs_.erase(place);
    return fail(std::move(started.error()));
  }
  *place = std::move(*started);
  std::vector<Executor*> ranks;
  for (std::size_t rank = 0; rank < world; ++rank) {
    Executor& executor = executors_.emplace_back();
    executor.kind = ExecutorKind::kRank;
    executor.id = next_id_++;
    executor.launched = true;
    executor.process = (*place)->rank(rank, handlers_of(executor.id));
    ranks.push_back(&executor);
  }
  return ranks;
}

Executor* ExecutorPool::find(std::uint64_t id) {
  const auto found =
      std::find_if(executors_.begin(), executors_.end(), [&](const Executor& e) { return e.id == id; });
  return found == executors_.end() ? nullptr : &*found;
}

void ExecutorPool::run(Executor& executor, proto::RunAttempt attempt) {
  if (executor.leases.empty() && executor.kind != ExecutorKind::kNoop) {
    executor.told = std::chrono::steady_clock::now();
    executor.was_warm = executor.ready;
  }
  executor.leases.push_back(attempt.lease_id());
  const bool offered = !executor.board || executor.board->offer(attempt.lease_id());
  GAUNTLET_CHECK(offered);
  proto::Frame frame;
  *frame.mutable_run_attempt() = std::move(attempt);
  executor.process->send(frame);
}

bool ExecutorPool::take_back(Executor& executor, std::uint64_t lease_id) {
  if (!executor.board || !executor.board->take(lease_id)) return false;
  std::erase(executor.leases, lease_id);
  return true;
}

void ExecutorPool::end(Executor& executor) {
  executor.ending = true;
  executor.process->end();
}

void ExecutorPool::retire(Executor& executor) {
  executor.ending = true;
  executor.process->retire();
}

void ExecutorPool::take(std::uint64_t id, const proto::Frame& frame) {
  Executor* const executor = find(id);
  if (executor == nullptr) return;
  if (frame.has_executor_ready()) {
    executor->ready = true;
  } else if (frame.has_attempt_progress()) {
    if (executor->told) {
      spdlog::debug("process {} took up lease {} after {:.1f} ms{}", executor->process->pid(),
                    frame.attempt_progress().lease_id(), ms_since(*executor->told),
                    executor->was_warm ? "" : " (with its start)");
      executor->told.reset();
    }
    handlers_.on_progress(*executor, frame.attempt_progress());
  } else if (frame.has_attempt_ended()) {
    std::erase(executor->leases, frame.attempt_ended().lease_id());
    executor->told.reset();
    handlers_.on_ended(*executor, frame.attempt_ended());
  } else {
    spdlog::error("process {} sent {}, which no executor may; it is ended", executor->process->pid(),
                  proto::name_of(frame.body_case()));
    end(*executor);
  }
}

void ExecutorPool::died(std::uint64_t id, const Ending& ending) {
  const auto found =
      std::find_if(executors_.begin(), executors_.end(), [&](const Executor& e) { return e.id == id; });
  if (found == executors_.end()) return;
  found->ending = true;
  spdlog::debug("process {} ended: {}", found->process->pid(), describe(ending));
  handlers_.on_died(*found, ending);
  executors_.erase(found);
}

}  // namespace gauntlet::worker
