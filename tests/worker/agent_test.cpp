// What an agent makes of leases: executors, gangs, reports.
#include "core/artifacts/artifact_store.hpp"
#include "core/base/files.hpp"
#include "tests/support/thread_sanitizer.hpp"
#include "tests/worker/agent_fixture.hpp"

namespace gauntlet::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST_F(AgentTest, JoinsWithWhatTheMachineOffers) {
  const proto::WorkerJoin message = join();
  EXPECT_EQ(message.name(), "agent under test");
  EXPECT_EQ(message.cpus(), 2);
  EXPECT_GT(message.memory_mb(), 0);
  EXPECT_GT(message.credit(), 0U);
  EXPECT_TRUE(message.has_torch());
  EXPECT_THAT(message.agent_id(), SizeIs(32));
  EXPECT_THAT(message.held(), IsEmpty());
}

TEST_F(AgentTest, ReportsRowsCurvesAndLogOfADoneJob) {
  join();
  const proto::Lease lease = coordinator_.lease(JobKind::kEvaluate, {{"do", "chatter"}}, 1, 2);
  coordinator_.send_leases({lease});
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.job_id(), lease.job_id());
  EXPECT_EQ(report.lease_id(), lease.lease_id());
  EXPECT_EQ(report.attempt(), 1U);
  const proto::Outcome& outcome = report.outcome();
  EXPECT_EQ(outcome.code(), 0U) << outcome.message();
  EXPECT_EQ(values_of(outcome)["threads"], 2);
  EXPECT_THAT(proto::row_from(outcome.rows(2)).value().per_query, ElementsAre(1.5F, -2.5F));
  EXPECT_THAT(proto::curve_from(outcome.curves(0)).value().y, ElementsAre(0.5F, 0.25F));
  EXPECT_EQ(outcome.manifest(), "m");
  EXPECT_GE(outcome.wall_s(), 0);
  const Json environment = parse_json(outcome.environment(), "environment").value();
  EXPECT_EQ(environment["threads"], 2);
  EXPECT_EQ(environment["world"], 1);
  EXPECT_EQ(environment["revision"], "r1");
  EXPECT_EQ(workdir() / outcome.log(), log_of(lease));
  EXPECT_THAT(read_file(log_of(lease)).value(),
              AllOf(HasSubstr(lease.title()), HasSubstr("to stdout"), HasSubstr("by stdio"),
                    HasSubstr("to stderr"), HasSubstr("done after")));
}

TEST_F(AgentTest, ReportsWhatARunnerRefusesOrThrows) {
  join();
  const proto::Outcome failed = run(JobKind::kTrainModel, {{"do", "fail"}});
  EXPECT_EQ(failed.code(), number(ErrorCode::kDiverged));
  EXPECT_EQ(failed.message(), "the loss became NaN in epoch 3");
  EXPECT_THAT(failed.rows(), IsEmpty());
  EXPECT_THAT(read_file(workdir() / failed.log()).value(), HasSubstr("diverged: the loss became NaN"));
  const proto::Outcome thrown = run(JobKind::kTrainModel, {{"do", "throw"}});
  EXPECT_EQ(thrown.code(), number(ErrorCode::kInternal));
  EXPECT_THAT(thrown.message(), HasSubstr("a library threw ?"));
  const proto::Outcome strange = run(JobKind::kEvaluate, {{"do", "throw_int"}});
  EXPECT_EQ(strange.code(), number(ErrorCode::kInternal));
  EXPECT_THAT(strange.message(), HasSubstr("something that is no std::exception"));
  const proto::Outcome too_much = run(JobKind::kEvaluate, {{"do", "allocate"}});
  EXPECT_EQ(too_much.code(), number(ErrorCode::kOutOfMemory));
  EXPECT_THAT(too_much.message(), HasSubstr("out of memory"));
}

TEST_F(AgentTest, ACrashFailsOnlyItsAttemptWithTheLogsEnd) {
  join();
  const proto::Lease calm = coordinator_.lease(JobKind::kTrainModel, waiting("go"));
  const proto::Lease crash = coordinator_.lease(JobKind::kTrainModel, {{"do", "crash"}, {"signal", SIGKILL}});
  coordinator_.send_leases({calm, crash});
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.lease_id(), crash.lease_id());
  EXPECT_EQ(report.outcome().code(), number(ErrorCode::kProcessDied));
  EXPECT_THAT(report.outcome().message(),
              AllOf(HasSubstr("gauntlet-rank (rank 0 of 1) died: killed by signal 9 (SIGKILL)"),
                    HasSubstr("line 30\nlast words"), HasSubstr("line 12\n"), Not(HasSubstr("line 11\n"))));
  raise_flag("go");
  const proto::Report calm_report = coordinator_.next_report();
  EXPECT_EQ(calm_report.lease_id(), calm.lease_id());
  EXPECT_EQ(calm_report.outcome().code(), 0U);
}

TEST_F(AgentTest, MoreNumbersThanAReportCanCarryFailTheAttemptAndNothingElse) {
  join();
  const proto::Outcome outcome = run(JobKind::kEvaluate, {{"do", "boast"}});
  EXPECT_EQ(outcome.code(), number(ErrorCode::kInvalid));
  EXPECT_THAT(
      outcome.message(),
      HasSubstr("the attempt's 1 number and 0 curves have 20000144 bytes; a report may have 16711680"));
  EXPECT_THAT(outcome.message(), HasSubstr("metric 'map'"));
  EXPECT_THAT(outcome.rows(), IsEmpty());
  EXPECT_EQ(run(JobKind::kEvaluate, {{"do", "rows"}}).code(), 0U) << "over the same connection";
}

TEST_F(AgentTest, AnExitWithoutAReportIsADeathToo) {
  join();
  const proto::Outcome outcome = run(JobKind::kEvaluate, {{"do", "exit"}});
  EXPECT_EQ(outcome.code(), number(ErrorCode::kProcessDied));
  EXPECT_THAT(outcome.message(), HasSubstr("gauntlet executor (rank 0 of 1) died: exit code 3"));
}

TEST_F(AgentTest, AKillForWantOfMemoryIsNoOrdinaryDeath) {
  fs::create_directories(workdir() / "system" / "proc");
  const auto count_kills = [&](int n) {
    std::ofstream(workdir() / "system" / "proc" / "vmstat.part") << "oom_kill " << n << '\n';
    fs::rename(workdir() / "system" / "proc" / "vmstat.part", workdir() / "system" / "proc" / "vmstat");
  };
  count_kills(5);
  join();
  const auto kill_one = [&](int n_kills) {
    const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, waiting("never"));
    coordinator_.send_leases({lease});
    const pid_t pid = pid_of(lease);
    count_kills(n_kills);
    EXPECT_EQ(::kill(pid, SIGKILL), 0);
    return coordinator_.next_report().outcome();
  };
  const proto::Outcome no_memory = kill_one(6);
  EXPECT_EQ(no_memory.code(), number(ErrorCode::kOutOfMemory));
  EXPECT_THAT(no_memory.message(), AllOf(HasSubstr("SIGKILL"), HasSubstr("ran out of memory")));
  EXPECT_EQ(kill_one(6).code(), number(ErrorCode::kProcessDied)) << "that kill is accounted for";
}

TEST_F(AgentTest, AnExecutorThatCannotBeStartedIsTheMachinesFault) {
  if (testing_support::kForksInsteadOfVfork) GTEST_SKIP() << "the sanitizer makes a fork of vfork";
  const fs::path program = workdir() / "rank";
  std::ofstream(program) << "no program";
  fs::permissions(program, fs::perms::owner_all);
  start_agent(program.string());
  coordinator_.accept();
  const proto::Outcome outcome = run(JobKind::kTrainModel, {{"do", "rows"}});
  EXPECT_EQ(outcome.code(), number(ErrorCode::kIo));
  EXPECT_THAT(outcome.message(), HasSubstr("cannot start " + program.string()));
}

TEST_F(AgentTest, NamesInputsWhoseArtifactIsMissingOrDamaged) {
  join();
  spec::JobSpec made;
  made.kind = JobKind::kEncode;
  const JobKey key = key_of(made).value();
  const artifacts::ArtifactStore store(workdir());
  Result<artifacts::Draft> draft = store.begin(key);
  ASSERT_TRUE(draft);
  std::ofstream(draft->folder() / "codes.npy") << "codes";
  ASSERT_TRUE(store.publish(std::move(*draft), made, key, Json::object()));

  proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, Json::object(), 2, 2);
  spec::JobSpec job;
  job.kind = JobKind::kTrainModel;
  job.config = {{"do", "open_input"}};
  job.inputs = {{"codes", key}};
  const auto run_it = [&] {
    lease.set_canonical(canonical_json(canonical_form(job)).value());
    lease.set_key(proto::key_bytes(key_of(job).value()));
    coordinator_.send_leases({lease});
    return coordinator_.next_report().outcome();
  };
  EXPECT_EQ(run_it().code(), 0U);
  std::ofstream(store.folder_of(JobKind::kEncode, key) / "codes.npy") << "codez";
  lease.set_lease_id(500);
  const proto::Outcome damaged = run_it();
  EXPECT_EQ(damaged.code(), number(ErrorCode::kCorrupt));
  EXPECT_THAT(damaged.damaged_inputs(), ElementsAre(proto::key_bytes(key)));
  lease.set_lease_id(501);
  const proto::Outcome missing = run_it();
  EXPECT_EQ(missing.code(), number(ErrorCode::kCorrupt));
  EXPECT_THAT(missing.message(), HasSubstr("there is no encode artifact"));
  EXPECT_THAT(missing.damaged_inputs(), ElementsAre(proto::key_bytes(key)));
}

TEST_F(AgentTest, KeepsExecutorsWarm) {
  join();
  const double first = values_of(run(JobKind::kTrainModel, {{"do", "rows"}}))["pid"];
  const double second = values_of(run(JobKind::kCraft, {{"do", "rows"}}))["pid"];
  const double light = values_of(run(JobKind::kEvaluate, {{"do", "rows"}}))["pid"];
  EXPECT_GT(first, 0);
  EXPECT_EQ(first, second);
  EXPECT_NE(first, light);
}

TEST_F(AgentTest, AGangReportsTheRowsOfItsFirstRank) {
  join();
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, waiting("go"), 2, 2);
  coordinator_.send_leases({lease});
  const pid_t first = pid_of(lease, 0);
  const pid_t second = pid_of(lease, 1);
  EXPECT_NE(first, second);
  raise_flag("go");
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.outcome().code(), 0U);
  std::map<std::string, double> values = values_of(report.outcome());
  EXPECT_EQ(values["rank"], 0);
  EXPECT_EQ(values["pid"], first);
  EXPECT_EQ(values["threads"], 1);
  EXPECT_EQ(values["has_rendezvous"], 1);
  EXPECT_EQ(parse_json(report.outcome().environment(), "environment").value()["world"], 2);
}

TEST_F(AgentTest, ADeadRankEndsItsGangAndLeavesNoOrphan) {
  join();
  Json config = {{"do", "spawn"}, {"until", flag("never").string()}};
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, config, 2, 2);
  coordinator_.send_leases({lease});
  std::vector<pid_t> all;
  for (const int rank : {0, 1}) {
    all.push_back(pid_of(lease, rank));
    all.push_back(pid_of(lease, rank, ".child"));
  }
  ASSERT_THAT(all, Not(::testing::Contains(0)));
  ASSERT_EQ(::kill(pid_of(lease, 1), SIGKILL), 0);
  for (const pid_t pid : all) EXPECT_TRUE(is_gone(pid, std::chrono::seconds(5))) << pid;
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.outcome().code(), number(ErrorCode::kProcessDied));
  EXPECT_THAT(report.outcome().message(),
              HasSubstr("gauntlet-rank (rank 1 of 2) died: killed by signal 9 (SIGKILL)"));
  EXPECT_EQ(run(JobKind::kTrainModel, {{"do", "rows"}}).code(), 0U);
}

TEST_F(AgentTest, ADeadRankEndsChildrenAndGrandchildrenThatDoNotWantTo) {
  join();
  Json config = {{"do", "spawn_deep"}, {"until", flag("never").string()}};
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, config, 2, 2);
  coordinator_.send_leases({lease});
  std::vector<pid_t> all;
  for (const int rank : {0, 1}) {
    for (const char* who : {"", ".child", ".grandchild"}) all.push_back(pid_of(lease, rank, who));
  }
  ASSERT_THAT(all, Not(::testing::Contains(0)));
  ASSERT_EQ(::kill(pid_of(lease, 0), SIGKILL), 0);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);  // what we promise
  for (const pid_t pid : all) {
    const auto left = deadline - std::chrono::steady_clock::now();
    EXPECT_TRUE(is_gone(pid, std::chrono::ceil<std::chrono::seconds>(left))) << pid;
  }
  EXPECT_THAT(coordinator_.next_report().outcome().message(), HasSubstr("(rank 0 of 2) died"));
}

TEST_F(AgentTest, AFailedRankEndsItsGangWithItsOwnError) {
  join();
  Json config = {{"do", "fail"}, {"rank", 1}, {"until", flag("never").string()}};
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, config, 2, 2);
  coordinator_.send_leases({lease});
  const pid_t other = pid_of(lease, 0);
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.outcome().code(), number(ErrorCode::kDiverged));
  EXPECT_TRUE(is_gone(other));
}

TEST_F(AgentTest, HeartbeatsTellTheProgressOfAllAttempts) {
  join();
  const proto::Lease busy =
      coordinator_.lease(JobKind::kTrainModel, {{"do", "epochs"}, {"until", flag("go").string()}});
  const proto::Lease quiet = coordinator_.lease(JobKind::kEvaluate, waiting("go"));
  coordinator_.send_leases({busy, quiet});
  const proto::Heartbeat beat = coordinator_.next_heartbeat([](const proto::Heartbeat& candidate) {
    return candidate.progress_size() == 2 && candidate.progress(0).epoch() > 0;
  });
  EXPECT_EQ(beat.progress(0).lease_id(), busy.lease_id());
  EXPECT_EQ(beat.progress(0).epoch(), 2);
  EXPECT_EQ(beat.progress(0).epochs(), 5);
  EXPECT_EQ(beat.progress(0).phase(), "epoch");
  EXPECT_EQ(beat.progress(0).losses().at("total"), 0.5);
  EXPECT_EQ(beat.progress(1).lease_id(), quiet.lease_id());
  raise_flag("go");
  coordinator_.next_report();
  coordinator_.next_report();
}

TEST_F(AgentTest, WithoutARankProgramItTakesNoTorchJobs) {
  start_agent("/nonexistent/gauntlet-rank");
  EXPECT_FALSE(coordinator_.accept().has_torch());
  const proto::Outcome refused = run(JobKind::kTrainModel, {{"do", "rows"}});
  EXPECT_EQ(refused.code(), number(ErrorCode::kInvalid));
  EXPECT_EQ(refused.message(), "this worker has no gauntlet-rank, which a train_model job needs");
  EXPECT_EQ(run(JobKind::kEvaluate, {{"do", "rows"}}).code(), 0U);
}

TEST_F(AgentTest, RefusesALeaseItCannotRead) {
  join();
  proto::Lease lease = coordinator_.lease(JobKind::kEvaluate, {{"do", "rows"}});
  lease.set_canonical("{");
  coordinator_.send_leases({lease});
  EXPECT_EQ(coordinator_.next_report().outcome().code(), number(ErrorCode::kInvalid));
  EXPECT_EQ(run(JobKind::kEvaluate, {{"do", "rows"}}).code(), 0U);
}

TEST_F(AgentTest, ACrashAmongManyNoopsFailsThatOneOnly) {
  join();
  std::vector<proto::Lease> leases;
  for (int index = 0; index < 50; ++index) {
    leases.push_back(
        coordinator_.lease(JobKind::kNoop, {{"index", index}, {"do", index == 20 ? "crash" : "rows"}}));
  }
  coordinator_.send_leases(leases);
  std::map<std::uint64_t, std::uint32_t> codes;
  for (int index = 0; index < 50; ++index) {
    const proto::Report report = coordinator_.next_report();
    codes[report.lease_id()] = report.outcome().code();
  }
  for (const proto::Lease& lease : leases) {
    EXPECT_EQ(codes.at(lease.lease_id()), lease.lease_id() == 21 ? number(ErrorCode::kProcessDied) : 0U);
  }
}

TEST_F(AgentTest, NoopsThatTakeTimeShareTheExecutors) {
  join();
  std::vector<proto::Lease> leases;
  for (int index = 0; index < 6; ++index) {
    Json config = waiting(fmt::format("noop {}", index));
    config["ms"] = 1;
    leases.push_back(coordinator_.lease(JobKind::kNoop, config, 1, 0));
  }
  coordinator_.send_leases(leases);
  ASSERT_GT(pid_of(leases[0]), 0);
  ASSERT_GT(pid_of(leases[1]), 0);
  coordinator_.send_stop(leases[3].lease_id(), "never started");
  EXPECT_EQ(coordinator_.next_report().outcome().message(), "never started");
  for (const int index : {0, 1, 2, 4, 5}) raise_flag(fmt::format("noop {}", index));
  for (int n = 0; n < 5; ++n) EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
}

TEST_F(AgentTest, RunsTenThousandNoops) {
  constexpr int kJobs = 10'000;
  const std::uint32_t credit = join().credit();
  std::vector<proto::Lease> leases;
  for (int index = 0; index < kJobs; ++index) {
    leases.push_back(coordinator_.lease(JobKind::kNoop, {{"index", index}, {"ms", 0}}, 1, 0));
  }
  const auto start = std::chrono::steady_clock::now();
  std::size_t sent = std::min<std::size_t>(credit, leases.size());
  coordinator_.send_leases({leases.begin(), leases.begin() + static_cast<std::ptrdiff_t>(sent)});
  for (int n = 0; n < kJobs; ++n) {
    ASSERT_EQ(coordinator_.next_report().outcome().rows_size(), 3);
    const auto in_hand = sent - static_cast<std::size_t>(n) - 1;
    if (in_hand > credit / 2 || sent == leases.size())
      continue;  // as a coordinator would: refilled in batches
    const std::size_t more = std::min(leases.size() - sent, credit - in_hand);
    coordinator_.send_leases({leases.begin() + static_cast<std::ptrdiff_t>(sent),
                              leases.begin() + static_cast<std::ptrdiff_t>(sent + more)});
    sent += more;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  RecordProperty("noop_jobs_per_s", fmt::format("{:.0f}", kJobs / took.count()));
  fmt::print("{} noop jobs in {:.2f} s: {:.0f} per second\n", kJobs, took.count(), kJobs / took.count());
}

}  // namespace
}  // namespace gauntlet::worker
