#include "coordinator/net/alloc_desk.hpp"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <sys/random.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "coordinator/net/alloc_messages.hpp"
#include "coordinator/net/batch_commands.hpp"
#include "coordinator/store/allocations.hpp"
#include "core/base/check.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;

constexpr Milliseconds kTick{1000};

std::string random_tag() {
  std::array<unsigned char, 3> bytes{};
  GAUNTLET_CHECK(::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  return fmt::format("{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2]);
}

void add_allocation(const alloc::AllocationRow& row, const alloc::Agents& agents,
                    proto::Allocation& message) {
  message.set_allocation_id(row.id.value);
  message.set_batch_id(row.batch_id);
  message.set_state(std::string(alloc::name_of(row.state)));
  message.set_message(row.message);
  message.set_workers(agents.n_workers);
  message.set_running(agents.n_leases);
  message.set_failed(row.failed);
  message.set_asked_ms(row.asked_ms);
  message.set_started_ms(row.started_ms);
  message.set_ended_ms(row.ended_ms);
}

asio::awaitable<Status> try_there(alloc::QueueSpec spec, std::filesystem::path script, std::string text,
                                  const std::atomic<bool>* stop) {
  const Status tried = try_submission(spec, script, text, stop);
  std::error_code ignored;
  std::filesystem::remove(script, ignored);
  co_return tried;
}

}  // namespace

AllocDesk::AllocDesk(asio::io_context& io, AllocOptions options, const Clock& clock, CommitQueue& queue,
                     const alloc::Rows& rows, std::shared_ptr<spdlog::logger> log, Drain drain,
                     std::function<void(const Error&)> on_fatal)
    : io_(io),
      options_(std::move(options)),
      clock_(clock),
      queue_(queue),
      log_(std::move(log)),
      drain_(std::move(drain)),
      on_fatal_(std::move(on_fatal)),
      state_(options_.config) {
  state_.restore(rows, now());
  std::error_code error;
  if (options_.program.empty()) options_.program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path beside = options_.program.parent_path() / "gauntlet";
  if (options_.program.filename() != "gauntlet" && std::filesystem::exists(beside, error))
    options_.program = beside;
}

AllocDesk::~AllocDesk() {
  stopping_ = true;
  threads_.join();
}

alloc::ScriptSite AllocDesk::site(const std::string& name, const std::string& label) const {
  return {.gauntlet = options_.program,
          .workdir = options_.workdir,
          .log = options_.workdir / "alloc" / (name + ".log"),
          .name = name,
          .label = label};
}

// ---------------------------------------------------------------- decisions

bool AllocDesk::is_due() const { return !state_.queues().empty() && clock_.now() >= next_tick_; }

void AllocDesk::tick(alloc::View view) {
  next_tick_ = clock_.now() + std::min(kTick, options_.config.poll);
  for (const alloc::AllocationId id : std::exchange(came_, {})) view.agents[id].came = true;
  settle(alloc::on_tick(state_, now(), view));
}

alloc::AllocationId AllocDesk::allocation_of(const std::string& label) const {
  alloc::AllocationId id;
  const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), id.value);
  const bool is_ours =
      error == std::errc{} && end == label.data() + label.size() && state_.allocations().contains(id);
  return is_ours ? id : alloc::AllocationId{};
}

void AllocDesk::came(const std::string& label) {
  const alloc::AllocationId id = allocation_of(label);
  if (!id) return;
  came_.insert(id);
  next_tick_ = {};
}

void AllocDesk::settle(alloc::Decision decision) {
  for (const std::string& sentence : decision.notices) log_->warn("{}", sentence);
  for (const alloc::AllocationId id : decision.drain) drain_(id);
  if (decision.transitions.empty() && decision.commands.empty()) return;
  CommitQueue::Work<Status> work = [rows = std::move(decision.transitions)](store::JobStore& store) {
    return rows.empty() ? Status() : store::save_allocations(store, rows);
  };
  queue_.ask<Status>(std::move(work), [this, commands = std::move(decision.commands)](const Status& saved) {
    if (!saved) return on_fatal_(saved.error());
    for (const alloc::Command& command : commands) {
      std::visit([this](const auto& any) { run(any); }, command);
    }
  });
}

template <class Answer>
void AllocDesk::on_thread(std::function<Answer()> work, std::function<void(Answer)> then) {
  asio::post(threads_, [this, work = std::move(work), then = std::move(then)] {
    auto answer = std::make_shared<Answer>(work());
    asio::post(io_, [answer, then] { then(std::move(*answer)); });
  });
}

void AllocDesk::run(const alloc::Submit& submit) {
  const alloc::Allocation* allocation = state_.find_allocation(submit.allocation);
  if (allocation == nullptr) return;
  const alloc::QueueRow& queue = state_.queues().at(allocation->row.queue).row;
  const std::string name = alloc::job_name(queue, submit.allocation);
  const auto system = alloc::find_batch_system(queue.spec.system);
  if (!system)
    return settle(alloc::on_refused(state_, now(), submit.allocation, system.error().message, false));
  std::string text =
      (*system)->script(queue.spec, site(name, fmt::format("{}", submit.allocation.value)), "");
  on_thread<Result<std::string>>(
      [this, spec = queue.spec, script = options_.workdir / "alloc" / (name + ".sh"),
       text = std::move(text)] { return submit_script(spec, script, text, &stopping_); },
      [this, id = submit.allocation, name](const Result<std::string>& batch_id) {
        if (batch_id) {
          log_->info("allocation {} ({}) is job {}", id.value, name, *batch_id);
          return settle(alloc::on_submitted(state_, now(), id, *batch_id));
        }
        const ErrorCode code = batch_id.error().code;
        const bool unsure =
            code == ErrorCode::kTimedOut || code == ErrorCode::kInterrupted || code == ErrorCode::kCorrupt;
        settle(alloc::on_refused(state_, now(), id, batch_id.error().message, unsure));
      });
}

void AllocDesk::run(const alloc::Cancel& cancel) {
  log_->info("cancels {}", fmt::join(cancel.batch_ids, ", "));
  on_thread<Status>([this, cancel] { return cancel_jobs(cancel.system, cancel.batch_ids, &stopping_); },
                    [this, cancel](const Status& done) {
                      settle(alloc::on_cancelled(state_, now(), cancel.allocations,
                                                 done ? std::string() : done.error().message));
                    });
}

void AllocDesk::run(const alloc::List& list) {
  using Jobs = Result<std::vector<alloc::BatchJob>>;
  on_thread<Jobs>([this, list] { return list_jobs(list.system, list.batch_ids, &stopping_); },
                  [this, system = list.system](const Jobs& jobs) {
                    settle(jobs ? alloc::on_listed(state_, now(), system, *jobs)
                                : alloc::on_list_failed(state_, now(), system, jobs.error().message));
                  });
}

// ---------------------------------------------------------------- clients

asio::awaitable<Result<proto::AllocAddReply>> AllocDesk::add(proto::AllocSpec message) {
  alloc::QueueSpec spec = spec_from(message);
  const Status checked = alloc::check(spec);
  if (!checked) co_return fail(checked.error());
  const std::string tag = random_tag();
  const alloc::BatchSystem& system = **alloc::find_batch_system(spec.system);
  std::string name = fmt::format("gauntlet-{}-check", tag);
  std::filesystem::path script = options_.workdir / "alloc" / (name + ".sh");
  std::string text = system.script(spec, site(name, ""), "");
  asio::awaitable<Status> trying = try_there(spec, std::move(script), std::move(text), &stopping_);
  const Status tried = co_await asio::co_spawn(threads_, std::move(trying), asio::use_awaitable);
  if (!tried) co_return fail(tried.error());
  Result<alloc::Decision> decision = alloc::on_add(state_, now(), spec, tag);
  if (!decision) co_return fail(decision.error());
  proto::AllocAddReply reply;
  reply.set_queue_id(std::get<alloc::QueueRow>(decision->transitions.front()).id.value);
  if (options_.only_here) {
    reply.add_notes(
        "the coordinator listens on this machine only; agents on other machines will not reach it: start it "
        "with "
        "--bind 0.0.0.0 --tls");
  }
  log_->info("queue {} of allocations: {}", reply.queue_id(), alloc::to_json(spec).dump());
  settle(std::move(*decision));
  std::vector<engine::Transition> none;
  co_await queue_.committed(std::move(none));  // behind the row
  next_tick_ = {};
  co_return reply;
}

asio::awaitable<Result<std::uint64_t>> AllocDesk::remove(alloc::QueueId queue) {
  const auto n_live = static_cast<std::uint64_t>(state_.count(queue));
  Result<alloc::Decision> decision = alloc::on_remove(state_, now(), queue);
  if (!decision) co_return fail(decision.error());
  settle(std::move(*decision));
  std::vector<engine::Transition> none;
  co_await queue_.committed(std::move(none));
  co_return n_live;
}

asio::awaitable<Status> AllocDesk::resume(alloc::QueueId queue) {
  Result<alloc::Decision> decision = alloc::on_resume(state_, now(), queue);
  if (!decision) co_return fail(decision.error());
  settle(std::move(*decision));
  std::vector<engine::Transition> none;
  co_await queue_.committed(std::move(none));
  next_tick_ = {};
  co_return Status();
}

Result<proto::AllocListReply> AllocDesk::list(alloc::QueueId wanted, alloc::View view) const {
  proto::AllocListReply reply;
  std::vector<std::string> known;
  for (const auto& [id, queue] : state_.queues()) {
    known.push_back(fmt::format("{}", id.value));
    if (wanted && wanted != id) continue;
    proto::AllocQueue& message = *reply.add_queues();
    message.set_queue_id(id.value);
    add_spec(queue.row.spec, *message.mutable_spec());
    message.set_state(std::string(alloc::name_of(queue.row.state)));
    message.set_reason(queue.row.reason);
    message.set_created_ms(queue.row.created_ms);
    for (std::string& sentence : alloc::explain(state_, id, now(), view))
      message.add_reasons(std::move(sentence));
    for (const auto& [number, allocation] : state_.allocations()) {
      if (allocation.row.queue == id)
        add_allocation(allocation.row, view.agents[number], *message.add_allocations());
    }
    for (const alloc::AllocationRow& row : queue.recent) add_allocation(row, {}, *message.add_allocations());
  }
  if (wanted && reply.queues().empty()) {
    return fail(ErrorCode::kNotFound, "there is no queue of allocations {}{}", wanted.value,
                known.empty() ? "" : fmt::format("; known are {}", fmt::join(known, ", ")));
  }
  return reply;
}

}  // namespace gauntlet::coordinator
