// Where the agent does not share the coordinator's work folder: an attempt begins when its inputs have been
// fetched, and is reported when what it made lies on the coordinator's disk. Newer checkpoints are pushed
// meanwhile. Where the folder is shared, leases and reports pass through.
//
// Thread safety: everything happens on the thread that runs the io_context; artifacts move on threads of its
// own.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/spec/job_spec.hpp"
#include "schemas/protocol.pb.h"
#include "worker/agent/artifact_cache.hpp"
#include "worker/transfer/moves.hpp"

namespace gauntlet::worker {

class Staging {
 public:
  struct Settings {
    std::filesystem::path workdir;
    std::int64_t cache_mb = 0;  ///< MiB of artifacts kept here; 0 = no limit
    std::function<Result<client::Endpoint>()> find;
  };
  using OnReady = std::function<void(const proto::Lease&, const Result<spec::JobSpec>&)>;
  using OnReport = std::function<void(proto::Report)>;

  Staging(boost::asio::io_context& context, Settings settings, OnReady on_ready, OnReport on_report);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Told at every welcome: a file that is seen where the folder is shared; "" = it is.
  void joined(const std::string& work_folder);
  [[nodiscard]] bool is_shared() const { return is_shared_; }

  /// A lease came; it is ready at once, or when its inputs are here.
  void start(const proto::Lease& lease);
  /// Its attempt has ended.
  void finish(proto::Report report);
  /// Pushes checkpoints that are newer than the coordinator's; to be called about once a second.
  void push_checkpoints();

  /// Ends what moves for a lease; it is reported with this reason. Leases whose attempt runs are left alone.
  void stop(std::uint64_t lease_id, const Error& reason);
  /// Ends what is being fetched; what is being pushed goes on.
  void stop_fetching(const Error& reason);
  /// Forgets a lease whose outcome nobody wants.
  void abandon(std::uint64_t lease_id);

  /// Leases for which something moves, whose attempt does not run.
  [[nodiscard]] std::vector<proto::HeldLease> held() const;
  [[nodiscard]] std::vector<proto::AttemptProgress> progress() const;
  [[nodiscard]] bool empty() const { return held().empty(); }

 private:
  enum class Phase : std::uint8_t { kFetching, kRunning, kPushing };
  /// Shared with the thread that moves.
  struct Move {
    std::atomic<bool> cancelled = false;
    std::atomic<double> fraction = 0;
  };
  struct Entry {
    proto::Lease lease;
    spec::JobKind kind = spec::JobKind::kNoop;
    JobKey key;
    std::vector<JobKey> inputs;
    Phase phase = Phase::kRunning;
    std::shared_ptr<Move> move;
    proto::Report report;                   ///< while its artifact is pushed
    std::int64_t checkpoint_ns = 0;         ///< when the one that was pushed last was saved; 0 = none
    std::shared_ptr<Move> checkpoint_move;  ///< while one is pushed beside the attempt
  };
  /// What fetching inputs came to.
  struct Fetched {
    Status status;
    std::vector<JobKey> damaged;  ///< not there, or damaged there
  };

  void fetch(Entry& entry);
  void fetched(std::uint64_t lease_id, const std::shared_ptr<Move>& move, const Fetched& result);
  void push(Entry& entry);
  void pushed(std::uint64_t lease_id, const std::shared_ptr<Move>& move, const Result<std::string>& hash);
  void checkpoint_pushed(std::uint64_t lease_id, const std::shared_ptr<Move>& move, std::int64_t saved_ns,
                         const Status& status);
  void hand_over(Entry& entry);
  void drop(std::uint64_t lease_id);

  // On a thread that moves.
  [[nodiscard]] Fetched fetch_inputs(const Entry& entry, const Route& route);
  [[nodiscard]] Status push_checkpoint(const Entry& entry, const Route& route) const;
  [[nodiscard]] Route route_for(const std::shared_ptr<Move>& move) const;
  [[nodiscard]] std::int64_t checkpoint_time(const JobKey& key) const;
  /// Runs `work` on a moving thread and `then` with its result on the io_context's.
  template <class Work, class Then>
  void move(Work work, Then then);

  boost::asio::io_context& context_;
  Settings settings_;
  OnReady on_ready_;
  OnReport on_report_;
  bool is_shared_ = true;
  std::map<std::uint64_t, Entry> entries_;  ///< by lease id
  ArtifactCache cache_;
  boost::asio::thread_pool threads_;
};

}  // namespace gauntlet::worker
