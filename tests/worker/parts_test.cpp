#include <gmock/gmock.h>

#include <fstream>

#include "core/base/program.hpp"
#include "core/proto/convert.hpp"
#include "core/proto/frame.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/worker/processes.hpp"
#include "worker/agent/connection.hpp"
#include "worker/agent/machine.hpp"
#include "worker/agent/reports.hpp"
#include "worker/executor/outcome.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(ValidUtf8, KeepsTextAndReplacesTheRest) {
  EXPECT_EQ(valid_utf8("plain"), "plain");
  EXPECT_EQ(valid_utf8("ünïcødé 🎲"), "ünïcødé 🎲");
  EXPECT_EQ(valid_utf8("a\xff"
                       "b"),
            "a?b");
  EXPECT_EQ(valid_utf8("\xe2\x82"), "??");            // cut short
  EXPECT_EQ(valid_utf8("\xc0\xaf"), "??");            // overlong
  EXPECT_EQ(valid_utf8("\xed\xa0\x80"), "???");       // a surrogate
  EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80"), "????");  // beyond U+10FFFF
  EXPECT_EQ(valid_utf8("\x80x"), "?x");
}

TEST(OutcomeOf, CarriesAnErrorOrAResult) {
  const proto::Outcome failed = outcome_of(Error{ErrorCode::kDiverged, "NaN \xff"});
  EXPECT_EQ(failed.code(), 11U);
  EXPECT_EQ(failed.message(), "NaN ?");
  AttemptResult result;
  result.rows.push_back({.metric = "map", .value = 0.5, .n = 3, .per_query = {0.25F, 0.5F, 0.75F}});
  result.manifest_hash = "abc";
  const proto::Outcome done = outcome_of(result);
  EXPECT_EQ(done.code(), 0U);
  EXPECT_EQ(done.manifest(), "abc");
  ASSERT_EQ(done.rows_size(), 1);
  EXPECT_EQ(proto::row_from(done.rows(0)).value().per_query, result.rows[0].per_query);
}

TEST(CauseOfException, IsReadFromWhatLibrariesSay) {
  EXPECT_EQ(cause_of_exception("CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; ...)"),
            ErrorCode::kOutOfMemory);
  EXPECT_EQ(
      cause_of_exception("[enforce fail at alloc_cpu.cpp:75] . DefaultCPUAllocator: can't allocate memory: "
                         "you tried to allocate 400 bytes. Error code 12 (Cannot allocate memory)"),
      ErrorCode::kOutOfMemory);
  EXPECT_EQ(cause_of_exception("NCCL error: unhandled cuda error, ... Cuda failure 'out of memory'"),
            ErrorCode::kOutOfMemory);
  EXPECT_EQ(cause_of_exception("NCCL error in: ProcessGroupNCCL.cpp:1331, unhandled system error"),
            ErrorCode::kCollective);
  EXPECT_EQ(cause_of_exception("CUDA error: uncorrectable ECC error encountered"), ErrorCode::kIo);
  EXPECT_EQ(cause_of_exception("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"),
            ErrorCode::kInternal);
}

TEST(OomKills, AreReadWhereTheyAreCounted) {
  const testing_support::TempFolder root;
  const auto write = [&](const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root.path() / file).parent_path());
    std::ofstream(root.path() / file) << text;
  };
  EXPECT_EQ(oom_kills(root.path()), 0U) << "nothing is known";
  write("proc/vmstat", "nr_free_pages 7\noom_kill 12\n");
  EXPECT_EQ(oom_kills(root.path()), 12U);
  write("proc/self/cgroup", "4:memory:/batch/7\n0::/\n");
  write("sys/fs/cgroup/memory/batch/7/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
  EXPECT_EQ(oom_kills(root.path()), 3U);
  write("proc/self/cgroup", "0::/batch/8\n");
  write("sys/fs/cgroup/batch/8/memory.events", "low 0\noom 5\noom_kill 4\n");
  EXPECT_EQ(oom_kills(root.path()), 4U);
}

proto::Report report_of(std::uint64_t lease, std::size_t n_bytes = 0) {
  proto::Report report;
  report.set_lease_id(lease);
  report.mutable_outcome()->set_message(std::string(n_bytes, 'x'));
  return report;
}

/// Reports that nobody sends.
struct KeptReports {
  boost::asio::io_context context;
  Reports reports{context, [] { return false; }, [] {}};
};

TEST(Reports, AreSentOnceUntilAReconnection) {
  KeptReports kept;
  Reports& reports = kept.reports;
  reports.add(report_of(1));
  reports.add(report_of(2));
  const auto first = reports.take_unsent();
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_EQ(first[0].reports_size(), 2);
  EXPECT_THAT(reports.take_unsent(), IsEmpty());
  reports.settle(1);
  reports.resend_all();
  const auto again = reports.take_unsent();
  ASSERT_THAT(again, SizeIs(1));
  ASSERT_EQ(again[0].reports_size(), 1);
  EXPECT_EQ(again[0].reports(0).lease_id(), 2U);
  EXPECT_THAT(reports.held(), SizeIs(1));
  reports.settle(2);
  EXPECT_TRUE(reports.empty());
}

TEST(Reports, BatchesAreBounded) {
  KeptReports large;
  for (std::uint64_t lease = 1; lease <= 5; ++lease)
    large.reports.add(report_of(lease, std::size_t{3} << 20));
  EXPECT_THAT(large.reports.take_unsent(), SizeIs(5));
  KeptReports many;
  for (std::uint64_t lease = 1; lease <= 1100; ++lease) many.reports.add(report_of(lease));
  EXPECT_THAT(many.reports.take_unsent(), SizeIs(3));
}

TEST(Reports, WaitForOthersOnlyWhileThereIsMoreToStart) {
  boost::asio::io_context context;
  bool has_more = false;
  int n_due = 0;
  Reports reports(
      context, [&] { return has_more; }, [&] { ++n_due; });
  reports.add(report_of(1));
  reports.add(report_of(2));
  EXPECT_EQ(n_due, 0) << "not in the middle of a turn";
  context.poll();
  EXPECT_EQ(n_due, 1) << "both together";
  has_more = true;
  reports.add(report_of(3));
  context.restart();
  EXPECT_GT(context.run_one(), 0U) << "the end of the turn";
  EXPECT_EQ(n_due, 1);
  context.run();
  EXPECT_EQ(n_due, 2) << "a moment later";
  reports.add(report_of(4));
  context.restart();
  context.run_one();
  has_more = false;  // the last of them ends before the moment is over
  reports.add(report_of(5));
  context.run_one();
  EXPECT_EQ(n_due, 3);
  context.run();
  EXPECT_EQ(n_due, 3);
}

TEST(Reports, OfTheGreatestSizeLeaveOneByOneInFramesThatCanBeSent) {
  proto::Report report;
  report.mutable_outcome()->add_rows()->set_metric("map");
  std::string& values = *report.mutable_outcome()->mutable_rows(0)->mutable_per_query();
  values.assign(proto::kMaxOutcomeBytes - 100, '\0');
  values.append(proto::kMaxOutcomeBytes - report.outcome().ByteSizeLong(), '\0');
  ASSERT_TRUE(check_size(report.outcome()));
  report.mutable_outcome()->set_log(std::string(4096, 'l'));  // as the agent adds it
  report.set_job_id(UINT64_MAX);
  report.set_attempt(UINT64_MAX);
  KeptReports kept;
  Reports& reports = kept.reports;
  for (std::uint64_t lease = UINT64_MAX - 2; lease != 0; ++lease) {
    report.set_lease_id(lease);
    reports.add(report);
  }
  const auto batches = reports.take_unsent();
  ASSERT_THAT(batches, SizeIs(3));
  for (const proto::ReportBatch& batch : batches) {
    proto::Frame frame;
    frame.set_id(UINT64_MAX);
    *frame.mutable_report_batch() = batch;
    EXPECT_TRUE(proto::encode_frame(frame));
  }
}

TEST(CheckSize, NamesTheLargestPartOfAnOutcomeThatFitsNoReport) {
  proto::Outcome outcome;
  outcome.add_rows()->set_metric("map");
  outcome.mutable_rows(0)->set_per_query(std::string(std::size_t{9} << 20, '\0'));
  EXPECT_TRUE(check_size(outcome));
  outcome.add_curves()->set_name("pr:topn");
  outcome.mutable_curves(0)->set_x(std::string(std::size_t{5} << 20, '\0'));
  outcome.mutable_curves(0)->set_y(std::string(std::size_t{5} << 20, '\0'));
  const Status refused = check_size(outcome);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(refused.error().message,
            fmt::format("the attempt's 1 number and 1 curve have {} bytes; a report may have 16711680 (the "
                        "largest: curve 'pr:topn' with {} bytes)",
                        outcome.ByteSizeLong(), outcome.curves(0).ByteSizeLong()));
}

class FindCoordinatorTest : public ::testing::Test {
 protected:
  void leave(const std::string& name, const std::string& text) {
    std::ofstream(folder_.path() / name) << text;
    fs::permissions(folder_.path() / name, fs::perms::owner_read | fs::perms::owner_write);
  }
  testing_support::TempFolder folder_;
};

TEST_F(FindCoordinatorTest, ReadsTheWorkFolder) {
  leave("coordinator.json", R"({"host":"127.0.0.1","port":4711,"pid":1})");
  leave("token", "secret\n");
  const Result<Address> found = find_coordinator(folder_.path(), {});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->host, "127.0.0.1");
  EXPECT_EQ(found->port, 4711);
  EXPECT_EQ(found->token, "secret");
}

TEST_F(FindCoordinatorTest, PrefersWhatIsGiven) {
  const Result<Address> found = find_coordinator(folder_.path(), {"example", 1, "given"});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->host, "example");
  EXPECT_EQ(found->token, "given");
}

TEST_F(FindCoordinatorTest, SaysWhatIsMissingOrBroken) {
  const Result<Address> none = find_coordinator(folder_.path(), {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(none.error().message,
              HasSubstr("no coordinator has left its address in " + folder_.path().string()));
  leave("coordinator.json", R"({"host":"127.0.0.1","port":70000})");
  const Result<Address> beyond = find_coordinator(folder_.path(), {});
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(beyond.error().message, HasSubstr("has no host and port"));
  leave("coordinator.json", R"({"host":"127.0.0.1","port":7})");
  const Result<Address> no_token = find_coordinator(folder_.path(), {});
  ASSERT_FALSE(no_token);
  EXPECT_THAT(no_token.error().message, HasSubstr("token"));
}

TEST_F(FindCoordinatorTest, RefusesATokenOthersMayRead) {
  leave("coordinator.json", R"({"host":"127.0.0.1","port":7})");
  leave("token", "secret\n");
  fs::permissions(folder_.path() / "token", fs::perms::others_read, fs::perm_options::add);
  const Result<Address> open = find_coordinator(folder_.path(), {});
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().code, ErrorCode::kRefused);
  EXPECT_THAT(open.error().message, HasSubstr("chmod 600"));
}

TEST_F(FindCoordinatorTest, TakesTheFingerprintWithTheAddress) {
  const std::string fingerprint(64, 'a');
  leave("coordinator.json",
        fmt::format(R"({{"host":"127.0.0.1","port":7,"tls_fingerprint":"{}"}})", fingerprint));
  leave("token", "secret\n");
  EXPECT_EQ(find_coordinator(folder_.path(), {})->trust.fingerprint, fingerprint);
  Address elsewhere;
  elsewhere.host = "example";
  EXPECT_FALSE(find_coordinator(folder_.path(), elsewhere)->trust.is_set()) << "that is another coordinator";
  leave("coordinator.json", R"({"host":"127.0.0.1","port":7,"tls_fingerprint":"abc"})");
  EXPECT_EQ(find_coordinator(folder_.path(), {}).error().code, ErrorCode::kInvalid);
}

TEST(Machine, ReadsTheGpusThatNvidiaSmiLists) {
  const auto gpus = gpus_from("0, NVIDIA H100 80GB HBM3, 81559\n3, Tesla, T4, 15360\n");
  ASSERT_TRUE(gpus) << gpus.error().message;
  ASSERT_THAT(*gpus, SizeIs(2));
  EXPECT_EQ((*gpus)[0].name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ((*gpus)[0].memory_mb, 81559);
  EXPECT_EQ((*gpus)[1].index, 3U);
  EXPECT_EQ((*gpus)[1].name, "Tesla, T4");
  EXPECT_THAT(*gpus_from(""), IsEmpty());
  EXPECT_THAT(gpus_from("No devices were found\n").error().message, HasSubstr("'No devices were found'"));
}

TEST(Machine, ItsNumaNodesHoldItsProcessors) {
  std::int64_t n_cpus = 0;
  for (const NumaNode& node : numa_nodes()) {
    n_cpus += node.cpus;
    EXPECT_GT(node.memory_mb, 0);
  }
  EXPECT_GE(n_cpus, usable_cpus());
}

TEST(Machine, HasSomethingToOffer) {
  EXPECT_GE(usable_cpus(), 1);
  EXPECT_GT(physical_memory_mb(), 0);
  EXPECT_FALSE(host_name().empty());
  EXPECT_TRUE(std::filesystem::exists(program_path()));
}

}  // namespace
}  // namespace gauntlet::worker
