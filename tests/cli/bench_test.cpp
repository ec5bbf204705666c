// gauntlet bench: documents, not speeds.
#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

class BenchCoordinator : public CliTest {};

TEST_F(BenchCoordinator, EveryFigureIsMeasuredAndNothingStaysBehind) {
  const testing_support::Finished bench = gauntlet({"bench", "coordinator", "--quick", "--tls", "--jobs",
                                                    "1000", "--workdir", workdir().string(), "--json"});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  const Json document = Json::parse(bench.out);
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["bench"], "coordinator");
  EXPECT_EQ(document["figures"]["jobs"], 1000);
  for (const char* figure :
       {"submit_s", "rss_mib", "plan_s", "plan_peak_mib", "noop_jobs_per_s", "recover_s",
        "closed_loop_p50_us", "closed_loop_p99_us", "lost_closed_s", "lost_silent_heartbeats",
        "process_ratio_percent", "noop_jobs_per_s_1000_agents", "noop_jobs_per_s_tls"}) {
    EXPECT_GT(document["figures"].value(figure, 0.0), 0) << figure;
  }
  EXPECT_GE(document["figures"].value("cpu_us_per_job", -1.0), 0) << "counted in ticks of 10 ms";
  EXPECT_LE(document["figures"]["closed_loop_p50_us"], document["figures"]["closed_loop_p99_us"]);
  for (const std::string part :
       {"submit", "noop", "slow_disk", "tls", "closed_loop", "process", "1000_agents"}) {
    for (const char* beside : {"_fdatasync_p50_us", "_fdatasync_p99_us", "_jobs_per_commit"}) {
      EXPECT_GT(document["figures"].value(part + beside, 0.0), 0) << part << beside;
    }
  }
  EXPECT_EQ(document["figures"]["submit_jobs_per_commit"], 1000) << "all or nothing";
  EXPECT_EQ(document["figures"]["closed_loop_jobs_per_commit"], 1) << "a report and the next lease share one";
  EXPECT_GT(document["figures"]["noop_jobs_per_commit"], 1) << "commits are grouped";
  EXPECT_TRUE(std::filesystem::is_empty(workdir())) << "the scratch folder goes";
}

TEST_F(BenchCoordinator, PlacementGivesEveryJobAWorkerAndBoundsTheWaitOfGangs) {
  const testing_support::Finished bench =
      gauntlet({"bench", "placement", "--jobs", "20000", "--workdir", workdir().string(), "--json"});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  const Json document = Json::parse(bench.out);
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["bench"], "placement");
  const Json& figures = document["figures"];
  EXPECT_EQ(figures["jobs"], 20000);
  EXPECT_EQ(figures["gpus"], 512);
  EXPECT_GT(figures["placements_per_s"], 0);
  EXPECT_GT(figures["rss_peak_mib"], 0);
  // Of its simulated time nothing depends on the machine.
  EXPECT_LE(figures["longest_wait_8_gpus_placements"], 2000);
  EXPECT_GT(figures["utilization"], 0.8);
}

TEST_F(BenchCoordinator, ClusterSimulatesDaysOfNodesThatFail) {
  const testing_support::Finished bench =
      gauntlet({"bench", "cluster", "--nodes", "8", "--quick", "--workdir", workdir().string(), "--json"});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  const Json document = Json::parse(bench.out);
  EXPECT_EQ(document["bench"], "cluster");
  const Json& figures = document["figures"];
  EXPECT_EQ(figures["gpus"], 64);
  EXPECT_EQ(figures["days"], 2);
  for (const char* figure : {"jobs_done", "preemptions", "utilization", "database_bytes_per_job",
                             "rss_peak_mib", "cpu_us_per_attempt", "heartbeat_us"}) {
    EXPECT_GT(figures.value(figure, 0.0), 0) << figure;
  }
  EXPECT_LE(figures["utilization"], 1);
  EXPECT_GE(figures["attempts"], figures["jobs_done"]);
  EXPECT_LE(figures["queue_wait_p50_s"], figures["queue_wait_p99_s"]);
  EXPECT_TRUE(std::filesystem::is_empty(workdir())) << "the scratch folder goes";
}

TEST_F(BenchCoordinator, ArtifactsGoThereAndComeBack) {
  const testing_support::Finished bench =
      gauntlet({"bench", "artifacts", "--quick", "--tls", "--workdir", workdir().string(), "--json"});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  const Json document = Json::parse(bench.out);
  for (const char* figure : {"artifact_mb", "artifact_push_mb_per_s", "artifact_fetch_mb_per_s"})
    EXPECT_GT(document["figures"].value(figure, 0.0), 0) << figure;
  EXPECT_TRUE(std::filesystem::is_empty(workdir())) << "the scratch folder goes";
}

class BenchMetrics : public CliTest {};

TEST_F(BenchMetrics, EveryPathIsMeasuredAndThePlainCalculationAgrees) {
  const testing_support::Finished bench =
      gauntlet({"bench", "metrics", "--quick", "--workdir", workdir().string(), "--json"});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  const Json document = Json::parse(bench.out);
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["bench"], "metrics");
  EXPECT_TRUE(document["machine"]["features"].is_array());
  const Json& figures = document["figures"];
  for (const char* figure :
       {"map_q200_n20000_k32_s", "map_q200_n20000_k32_scalar_s", "map_q200_n20000_k32_from_arrays_s",
        "plain_q200_n20000_k32_s", "plain_ratio", "map_q100_n10000_k64_s"}) {
    EXPECT_GT(figures.value(figure, 0.0), 0) << figure;
  }
  const std::string path = figures["path"];
  EXPECT_EQ(figures["map_q200_n20000_k32_s"], figures["map_q200_n20000_k32_" + path + "_s"]);
}

TEST_F(BenchMetrics, UnknownPathsAreRefusedWithThoseThereAre) {
  const testing_support::Finished bench = gauntlet({"bench", "metrics", "--path", "mmx"});
  EXPECT_EQ(bench.exit_code, 2);
  EXPECT_THAT(bench.err, testing::HasSubstr("this processor has no path 'mmx'; it has scalar"));
}

TEST_F(BenchCoordinator, ResultsAreAskedAloneAndBesideABusyCoordinator) {
  const testing_support::Finished bench =
      gauntlet({"bench", "results", "--quick", "--jobs", "1000", "--workdir", workdir().string(), "--json"});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  const Json document = Json::parse(bench.out);
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["bench"], "results");
  EXPECT_TRUE(document["machine"].contains("fdatasync_us"));
  const Json& figures = document["figures"];
  EXPECT_GE(figures["jobs"], 1000);
  EXPECT_EQ(figures["rows"].get<std::int64_t>(), 3 * figures["jobs"].get<std::int64_t>());
  for (const char* figure : {"sweeps",
                             "cells",
                             "rows_with_readings",
                             "generate_s",
                             "database_mib",
                             "table_1m_ms",
                             "tables_1m_s",
                             "query_1m_p99_ms",
                             "query_all_sweeps_1m_ms",
                             "noop_jobs_per_s",
                             "noop_jobs_per_s_beside_queries",
                             "queries_under_load",
                             "query_under_load_p99_ms",
                             "page_p50_ms",
                             "page_p99_ms",
                             "page_under_load_p50_ms",
                             "page_under_load_p99_ms",
                             "page_status_under_load_p99_ms",
                             "page_table_under_load_p99_ms",
                             "page_table_repeated_under_load_p99_ms",
                             "page_jobs_by_text_under_load_p99_ms",
                             "page_throughput_under_load_p99_ms"}) {
    EXPECT_GT(figures.value(figure, 0.0), 0) << figure;
  }
  // Half the measured rate was asked for; a machine may be slower, the load is never more.
  EXPECT_LE(figures["noop_jobs_per_s_beside_queries"].get<double>(),
            0.6 * figures["noop_jobs_per_s"].get<double>());
  EXPECT_TRUE(std::filesystem::is_empty(workdir())) << "the scratch folder goes";
}

}  // namespace
}  // namespace gauntlet::cli
