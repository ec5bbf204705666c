// Jobs over real sockets: submitted, leased, reported, done; crashes in between.
#include "coordinator/store/job_store.hpp"
#include "core/db/commit_delay.hpp"
#include "core/db/connection.hpp"
#include "tests/coordinator/fixture.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::HasSubstr;

class Work : public CoordinatorTest {};

/// Done jobs in the database, counted with the coordinator gone.
std::size_t count_done(const std::filesystem::path& database) {
  auto store = store::JobStore::open(database);
  EXPECT_TRUE(store) << store.error().message;
  const auto rows = store->load();
  EXPECT_TRUE(rows) << rows.error().message;
  return static_cast<std::size_t>(
      std::count_if(rows->rows.jobs.begin(), rows->rows.jobs.end(),
                    [](const auto& row) { return row.state == engine::JobStateTag::kDone; }));
}

TEST_F(Work, GoesFromSubmissionToDone) {
  start();
  client::Client client = connect();
  const auto reply = submit(client, "two", noops(2));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->new_jobs(), 2U);
  FakeWorker worker(folder_.path(), "agent");
  worker.await_leases(2);
  const proto::Lease& lease = worker.held.begin()->second;
  EXPECT_EQ(lease.title(), "noop 0");
  EXPECT_EQ(lease.attempt(), 1U);
  EXPECT_EQ(lease.key(), proto::key_bytes(*spec::key_of(noop_spec(0))));
  EXPECT_EQ(lease.canonical(), *canonical_json(spec::canonical_form(noop_spec(0))));
  EXPECT_EQ(lease.resources().cpus(), 0);
  EXPECT_EQ(count_in(client, "leased"), 2U);
  worker.work_until(2);
  EXPECT_EQ(count_in(client, "done"), 2U) << "a report that was answered is durable and visible";
}

TEST_F(Work, TheSameSweepAgainAddsNothing) {
  start();
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "same", noops(3)));
  FakeWorker worker(folder_.path(), "agent");
  worker.work_until(3);
  const auto again = submit(client, "same", noops(3));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->new_jobs(), 0U);
  EXPECT_EQ(again->reused_jobs(), 3U);
  EXPECT_EQ(again->done_jobs(), 3U);
}

TEST_F(Work, NeedsRunFirst) {
  start();
  client::Client client = connect();
  spec::JobSpec second = noop_spec(1);
  second.inputs = {{"first", *spec::key_of(noop_spec(0))}};
  ASSERT_TRUE(submit(client, "chain", {noop_spec(0), second}));
  FakeWorker worker(folder_.path(), "agent");
  worker.await_leases(1);
  EXPECT_EQ(count_in(client, "waiting"), 1U);
  worker.work_until(1);
  worker.await_leases(1);
  EXPECT_EQ(worker.held.begin()->second.title(), "noop 1");
}

TEST_F(Work, AReportTwiceIsAcknowledgedAndCountedOnce) {
  start();
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "one", noops(1)));
  FakeWorker worker(folder_.path(), "agent");
  worker.await_leases(1);
  const proto::Report report = FakeWorker::report_of(worker.held.begin()->second);
  for (int n_times = 0; n_times < 2; ++n_times) {
    const proto::ReportReply reply = worker.report({report});
    ASSERT_EQ(reply.settled_size(), 1);
    EXPECT_EQ(reply.stale_size(), 0);
  }
  EXPECT_EQ(count_in(client, "done"), 1U);
}

TEST_F(Work, AStaleReportIsRefusedAndSettled) {
  start();
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "one", noops(1)));
  FakeWorker worker(folder_.path(), "agent");
  worker.await_leases(1);
  proto::Report stale = FakeWorker::report_of(worker.held.begin()->second);
  stale.set_attempt(9);
  const proto::ReportReply reply = worker.report({stale});
  ASSERT_EQ(reply.stale_size(), 1);
  EXPECT_EQ(reply.settled_size(), 1);
  EXPECT_EQ(count_in(client, "leased"), 1U);
}

TEST_F(Work, AResultWithoutANumberIsAFailedAttempt) {
  start();
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "nan", noops(1)));
  FakeWorker worker(folder_.path(), "agent");
  worker.await_leases(1);
  proto::Report report = FakeWorker::report_of(worker.held.begin()->second);
  report.mutable_outcome()->mutable_rows(0)->set_value(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(worker.report({report}).stale_size(), 0);
  const auto status = status_of(client);
  ASSERT_EQ(status->failed_size(), 1);
  EXPECT_EQ(status->failed(0).code(), static_cast<std::uint32_t>(ErrorCode::kDiverged));
  EXPECT_EQ(status->failed(0).message(), "metric noop_a is nan");
}

TEST_F(Work, FailuresAreRetriedThenShownWithWhatTheyBlock) {
  start();
  client::Client client = connect();
  spec::JobSpec second = noop_spec(1);
  second.inputs = {{"first", *spec::key_of(noop_spec(0))}};
  ASSERT_TRUE(submit(client, "chain", {noop_spec(0), second}));
  FakeWorker worker(folder_.path(), "agent");
  for (std::uint64_t attempt = 1; attempt <= 3; ++attempt) {
    worker.await_leases(1);
    const proto::Lease lease = worker.held.begin()->second;
    EXPECT_EQ(lease.attempt(), attempt);
    worker.held.clear();
    worker.report(
        {FakeWorker::report_of(lease, static_cast<std::uint32_t>(ErrorCode::kProcessDied), "it died")});
  }
  const auto status = status_of(client, 1);
  ASSERT_EQ(status->failed_size(), 1);
  EXPECT_EQ(status->failed(0).title(), "noop 0");
  EXPECT_EQ(status->failed(0).message(), "it died");
  EXPECT_EQ(status->failed(0).blocks(), 1U);
  EXPECT_EQ(count_in(client, "blocked"), 1U);

  proto::Frame retry;
  retry.mutable_retry_request()->mutable_selection()->add_states("failed");
  const auto changed = client.request(retry, kPatience);
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_EQ(changed->change_reply().n_jobs(), 1U);
  worker.work_until(2);
  EXPECT_EQ(count_in(client, "done"), 2U);
}

TEST_F(Work, SurvivesACrashWithHeldLeasesAdoptedAgain) {
  start();
  std::uint64_t worker_id = 0;
  {
    client::Client client = connect();
    ASSERT_TRUE(submit(client, "crash", noops(10)));
  }
  FakeWorker worker(folder_.path(), "agent", 4);
  worker.await_leases(4);
  worker_id = worker.welcome.worker_id();
  const proto::Lease done = worker.held.begin()->second;
  worker.held.erase(done.lease_id());
  worker.report({FakeWorker::report_of(done)});
  worker.await_leases(4);
  crash();
  start();
  client::Client client = connect();
  EXPECT_EQ(count_in(client, "done"), 1U);
  EXPECT_EQ(count_in(client, "leased"), 4U);
  worker.connect(folder_.path());
  EXPECT_EQ(worker.welcome.worker_id(), worker_id);
  EXPECT_EQ(worker.welcome.stale_size(), 0);
  ASSERT_EQ(worker.held.size(), 4U);
  for (const auto& [id, lease] : worker.held) EXPECT_EQ(lease.attempt(), 1U);
  worker.work_until(9);
  EXPECT_EQ(count_in(client, "done"), 10U);
}

TEST_F(Work, ManyCrashesLoseNothingAndCountNothingTwice) {
  constexpr std::size_t kJobs = 300;
  start();
  {
    client::Client client = connect();
    ASSERT_TRUE(submit(client, "crashes", noops(kJobs)));
  }
  FakeWorker worker(folder_.path(), "agent", 16);
  std::set<std::string> acknowledged;
  for (int n_crashes = 0; n_crashes < 6; ++n_crashes) {
    for (int n_batches = 0; n_batches < 3; ++n_batches) {
      worker.await_leases(1);
      std::vector<proto::Report> reports;
      std::map<std::uint64_t, std::string> keys;
      for (const auto& [id, lease] : worker.held) {
        reports.push_back(FakeWorker::report_of(lease));
        keys.emplace(id, lease.key());
      }
      const proto::ReportReply reply = worker.report(reports);
      EXPECT_EQ(reply.stale_size(), 0);
      for (const std::uint64_t lease : reply.settled()) {
        EXPECT_TRUE(acknowledged.insert(keys.at(lease)).second) << "a job was done twice";
        worker.held.erase(lease);
      }
    }
    crash();
    start();
    worker.connect(folder_.path());
    client::Client client = connect();
    EXPECT_EQ(count_in(client, "done"), acknowledged.size()) << "after crash " << n_crashes;
  }
  worker.work_until(kJobs - acknowledged.size());
  client::Client client = connect();
  EXPECT_EQ(count_in(client, "done"), kJobs);
  worker.disconnect();
  ASSERT_TRUE(server_->stop());
  EXPECT_EQ(count_done(folder_ / "gauntlet.db"), kJobs);
}

/// While it lives, commits take longer than everything else.
struct SlowCommits {
  SlowCommits() { EXPECT_TRUE(db::delay_commits(Milliseconds(50))); }
  ~SlowCommits() { EXPECT_TRUE(db::delay_commits(Milliseconds(0))); }
};

TEST_F(Work, AStatusTellsWhatIsOnDisk) {
  const SlowCommits slow;
  start();
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "told", noops(1)));
  FakeWorker worker(folder_.path(), "agent");
  worker.await_leases(1);
  proto::Frame frame;
  *frame.mutable_report_batch()->add_reports() = FakeWorker::report_of(worker.held.begin()->second);
  ASSERT_TRUE(worker.connection->send(frame, kPatience));
  ASSERT_TRUE(reaches(client, "done", 1));
  auto reader = db::Connection::open_read_only(folder_ / "gauntlet.db");
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(*reader->integer("SELECT count(*) FROM jobs WHERE state = 3"), 1) << "told before it was on disk";
}

TEST_F(Work, AnAgentThatNeverComesBackLosesItsLeases) {
  ServeOptions options = options_for(folder_);
  options.grace_ms = 100;
  start(options);
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "gone", noops(1)));
  {
    FakeWorker worker(folder_.path(), "gone");
    worker.await_leases(1);
  }
  EXPECT_TRUE(reaches(client, "queued", 1));
  FakeWorker other(folder_.path(), "other");
  other.await_leases(1);
  EXPECT_EQ(other.held.begin()->second.attempt(), 2U);
}

TEST_F(Work, ASilentWorkerLosesItsLeasesAndItsConnection) {
  ServeOptions options = options_for(folder_);
  options.heartbeat_ms = 50;
  start(options);
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "silent", noops(1)));
  FakeWorker worker(folder_.path(), "silent");
  worker.await_leases(1);
  const auto told = worker.connection->receive(kPatience);
  ASSERT_TRUE(told) << told.error().message;
  ASSERT_TRUE(told->has_failure());
  EXPECT_THAT(told->failure().message(), HasSubstr("lost: silent for"));
  EXPECT_FALSE(worker.connection->receive(kPatience));
  EXPECT_TRUE(reaches(client, "queued", 1));
}

TEST_F(Work, HeartbeatsKeepAWorkerAndCarryProgress) {
  start();
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "beat", noops(1)));
  FakeWorker worker(folder_.path(), "agent");
  worker.await_leases(1);
  proto::Frame beat;
  proto::AttemptProgress& progress = *beat.mutable_heartbeat()->add_progress();
  progress.set_lease_id(worker.held.begin()->first);
  progress.set_epoch(3);
  (*progress.mutable_losses())["total"] = 0.25;
  beat.mutable_heartbeat()->add_progress()->set_lease_id(4711);
  const auto answer = worker.connection->request(beat, kPatience);
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->heartbeat_reply().stale_size(), 1);
  EXPECT_EQ(answer->heartbeat_reply().stale(0).lease_id(), 4711U);
  const auto status = status_of(client);
  ASSERT_EQ(status->running_size(), 1);
  EXPECT_EQ(status->running(0).title(), "noop 0");
  EXPECT_EQ(status->running(0).worker(), "agent");
  EXPECT_EQ(status->running(0).progress().epoch(), 3);
  EXPECT_EQ(status->running(0).progress().losses().at("total"), 0.25);
  ASSERT_EQ(status->workers_size(), 1);
  EXPECT_EQ(status->workers(0).running(), 1U);
}

TEST_F(Work, CancelStopsTheAttemptAndPauseHoldsTheRest) {
  start();
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "stop", noops(3)));
  FakeWorker worker(folder_.path(), "agent", 1);
  worker.await_leases(1);
  proto::Frame pause;
  pause.mutable_pause_request()->set_sweep_id(1);
  pause.mutable_pause_request()->set_paused(true);
  ASSERT_TRUE(client.request(pause, kPatience));
  proto::Frame cancel;
  cancel.mutable_cancel_request()->mutable_selection()->add_states("leased");
  cancel.mutable_cancel_request()->set_reason("too slow");
  const auto cancelled = client.request(cancel, kPatience);
  ASSERT_TRUE(cancelled) << cancelled.error().message;
  EXPECT_EQ(cancelled->change_reply().n_jobs(), 1U);
  const auto stop = worker.connection->receive(kPatience);
  ASSERT_TRUE(stop && stop->has_stop_attempts());
  EXPECT_EQ(stop->stop_attempts().reason(), "cancelled: too slow");
  EXPECT_EQ(stop->stop_attempts().attempts(0).lease_id(), worker.held.begin()->first);
  EXPECT_EQ(count_in(client, "queued"), 2U) << "paused: nothing new is leased";
  worker.held.clear();
  pause.mutable_pause_request()->set_paused(false);
  ASSERT_TRUE(client.request(pause, kPatience));
  worker.work_until(2);
  EXPECT_EQ(count_in(client, "done"), 2U);
  EXPECT_EQ(count_in(client, "cancelled"), 1U);
}

TEST_F(Work, ADrainingWorkerGetsNothingMore) {
  start();
  client::Client client = connect();
  FakeWorker worker(folder_.path(), "agent");
  proto::Frame drain;
  drain.mutable_drain();
  ASSERT_TRUE(worker.connection->send(drain));
  proto::Frame beat;
  beat.mutable_heartbeat();
  ASSERT_TRUE(worker.connection->request(beat, kPatience)) << "frames are handled in order";
  ASSERT_TRUE(submit(client, "drained", noops(1)));
  EXPECT_EQ(count_in(client, "queued"), 1U);
  EXPECT_TRUE(status_of(client)->workers(0).draining());
}

TEST_F(Work, AWorkerWhereJobsFailThatSucceedElsewhereIsShownInQuarantine) {
  start();
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "three", noops(3)));
  FakeWorker bad(folder_.path(), "bad", 3);
  bad.await_leases(3);
  proto::Frame pause;
  pause.mutable_pause_request()->set_sweep_id(1);
  pause.mutable_pause_request()->set_paused(true);
  ASSERT_TRUE(client.request(pause, kPatience));
  std::vector<proto::Report> reports;
  for (const auto& [id, lease] : bad.held) {
    reports.push_back(
        FakeWorker::report_of(lease, static_cast<std::uint32_t>(ErrorCode::kProcessDied), "it died"));
  }
  bad.report(reports);
  proto::Frame drain;
  drain.mutable_drain();
  ASSERT_TRUE(bad.connection->send(drain));
  proto::Frame beat;
  beat.mutable_heartbeat();
  ASSERT_TRUE(bad.connection->request(beat, kPatience)) << "frames are handled in order";
  EXPECT_EQ(status_of(client)->workers(0).quarantine(), "");
  FakeWorker good(folder_.path(), "good");
  pause.mutable_pause_request()->set_paused(false);
  ASSERT_TRUE(client.request(pause, kPatience));
  good.work_until(3);
  const auto status = status_of(client);
  ASSERT_EQ(status->workers_size(), 2);
  EXPECT_EQ(status->workers(0).name(), "bad");
  EXPECT_EQ(status->workers(0).quarantine(), "3 jobs in a row failed here and succeeded elsewhere");
  EXPECT_EQ(status->workers(1).quarantine(), "");
}

TEST_F(Work, ExplainsByKeyPrefix) {
  start();
  client::Client client = connect();
  spec::JobSpec second = noop_spec(1);
  second.inputs = {{"first", *spec::key_of(noop_spec(0))}};
  ASSERT_TRUE(submit(client, "why", {noop_spec(0), second}));
  proto::Frame frame;
  frame.mutable_explain_request()->set_key_prefix(spec::key_of(second)->hex().substr(0, 8));
  const auto reply = client.request(frame, kPatience);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->explain_reply().state(), "waiting");
  EXPECT_EQ(reply->explain_reply().title(), "noop 1");
  EXPECT_THAT(reply->explain_reply().reasons(1), HasSubstr("needs noop 0 ("));
  frame.mutable_explain_request()->set_key_prefix("ab");
  EXPECT_THAT(client.request(frame, kPatience).error().message, HasSubstr("too short"));
  frame.mutable_explain_request()->set_key_prefix("00000000");
  EXPECT_EQ(client.request(frame, kPatience).error().code, ErrorCode::kNotFound);
}

TEST_F(Work, ADamagedInputIsMadeAgain) {
  start();
  client::Client client = connect();
  spec::JobSpec second = noop_spec(1);
  second.inputs = {{"first", *spec::key_of(noop_spec(0))}};
  ASSERT_TRUE(submit(client, "damaged", {noop_spec(0), second}));
  FakeWorker worker(folder_.path(), "agent");
  worker.work_until(1);
  worker.await_leases(1);
  proto::Report report = FakeWorker::report_of(
      worker.held.begin()->second, static_cast<std::uint32_t>(ErrorCode::kCorrupt), "does not match");
  report.mutable_outcome()->add_damaged_inputs(proto::key_bytes(*spec::key_of(noop_spec(0))));
  worker.held.clear();
  worker.report({report});
  worker.await_leases(1);
  EXPECT_EQ(worker.held.begin()->second.title(), "noop 0");
  EXPECT_EQ(worker.held.begin()->second.attempt(), 2U);
  worker.work_until(2);
  EXPECT_EQ(count_in(client, "done"), 2U);
}

TEST_F(Work, TenThousandNoopJobs) {
  constexpr std::size_t kJobs = 10000;
  start();
  client::Client client = connect();
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(submit(client, "many", noops(kJobs)));
  const auto submitted = std::chrono::steady_clock::now();
  FakeWorker worker(folder_.path(), "agent", 512);
  worker.work_until(kJobs);
  const auto ended = std::chrono::steady_clock::now();
  EXPECT_EQ(count_in(client, "done"), kJobs);
  const double submit_s = std::chrono::duration<double>(submitted - began).count();
  const double work_s = std::chrono::duration<double>(ended - submitted).count();
  std::cout << fmt::format(
      "submitted in {:.3f} s; leased, reported and committed in {:.3f} s: {:.0f} jobs/s\n", submit_s, work_s,
      static_cast<double>(kJobs) / work_s);
}

}  // namespace
}  // namespace gauntlet::coordinator
