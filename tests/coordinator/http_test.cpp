// /metrics and /healthz of a coordinator, through a socket.
#include "coordinator/net/metrics.hpp"
#include "core/base/files.hpp"
#include "tests/coordinator/fixture.hpp"
#include "tests/coordinator/http_connection.hpp"
#include "tests/coordinator/prometheus_text.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Http : public CoordinatorTest {
 protected:
  Http() {
    ServeOptions options = options_for(folder_);
    options.http_address = "127.0.0.1";
    start(options);
    port_ = (**server_).http_port();
    EXPECT_NE(port_, 0);
  }
  [[nodiscard]] HttpAnswer ask(const std::string& request, bool with_body = true) const {
    HttpConnection connection(port_);
    connection.say(request);
    return connection.hear(with_body);
  }
  [[nodiscard]] HttpAnswer get(const std::string& path) const {
    return ask("GET " + path + " HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
  }

  std::uint16_t port_ = 0;
};

TEST_F(Http, MetricsAreStrictTextAndTrue) {
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "say \"hi\"\\", noops(12)));
  FakeWorker worker(folder_.path(), "agent", 4);
  worker.await_leases(4);
  std::vector<proto::Report> reports;
  for (const auto& [id, lease] : worker.held) {
    const bool first = reports.empty();
    reports.push_back(FakeWorker::report_of(
        lease, first ? static_cast<std::uint32_t>(ErrorCode::kOutOfMemory) : 0, "no memory"));
  }
  worker.held.clear();
  worker.report(reports);
  worker.await_leases(4);
  EXPECT_EQ(worker.report(reports).stale_size(), 1) << "the failed one; the others are known to be done";

  const HttpAnswer answer = get("/metrics");
  EXPECT_THAT(answer.head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  const PrometheusText metrics(answer.body);
  EXPECT_EQ(metrics.value("gauntlet_jobs", {{"state", "done"}}), 3);
  EXPECT_EQ(metrics.value("gauntlet_jobs", {{"state", "leased"}}), 4);
  EXPECT_EQ(metrics.value("gauntlet_jobs", {{"state", "queued"}}), 4);
  EXPECT_EQ(metrics.value("gauntlet_jobs", {{"state", "failed"}}), 1);
  EXPECT_EQ(metrics.value("gauntlet_sweep_jobs", {{"sweep", R"(say \"hi\"\\)"}, {"state", "done"}}), 3);
  EXPECT_EQ(metrics.value("gauntlet_attempts_total", {{"outcome", "done"}}), 3);
  EXPECT_EQ(metrics.value("gauntlet_attempts_total", {{"outcome", "out_of_memory"}}), 1);
  EXPECT_EQ(metrics.value("gauntlet_attempt_seconds_count", {{"kind", "noop"}}), 3);
  EXPECT_EQ(metrics.value("gauntlet_attempt_seconds_sum", {{"kind", "noop"}}), 1.5);
  EXPECT_EQ(metrics.value("gauntlet_leases_total"), 8);
  EXPECT_EQ(metrics.value("gauntlet_leases"), 4);
  EXPECT_EQ(metrics.value("gauntlet_stale_reports_total"), 1);
  EXPECT_EQ(metrics.value("gauntlet_submissions_total"), 1);
  EXPECT_EQ(metrics.value("gauntlet_queue_wait_seconds_count"), 8);
  EXPECT_EQ(metrics.value("gauntlet_workers", {{"state", "attached"}}), 1);
  EXPECT_EQ(metrics.value("gauntlet_workers_joined_total"), 1);
  EXPECT_EQ(metrics.value("gauntlet_cpus"), 4);
  EXPECT_EQ(metrics.value("gauntlet_gpus"), 0);
  EXPECT_EQ(metrics.value("gauntlet_connections", {{"role", "client"}}), 1);
  EXPECT_EQ(metrics.value("gauntlet_connections", {{"role", "worker"}}), 1);
  EXPECT_EQ(metrics.value("gauntlet_connections_total"), 2);
  EXPECT_GT(metrics.value("gauntlet_received_bytes_total"), 1000);
  EXPECT_GT(metrics.value("gauntlet_sent_bytes_total"), 100);
  EXPECT_GT(metrics.value("gauntlet_commits_total"), 0);
  EXPECT_EQ(metrics.value("gauntlet_fsync_seconds_count"), metrics.value("gauntlet_commits_total"));
  EXPECT_GE(metrics.value("gauntlet_transitions_total"), 8 + 4);
  EXPECT_GT(metrics.value("gauntlet_commit_latency_seconds_sum"), 0);
  EXPECT_GT(metrics.value("gauntlet_database_bytes", {{"file", "db"}}) +
                metrics.value("gauntlet_database_bytes", {{"file", "wal"}}),
            4096);
  EXPECT_GT(metrics.value("gauntlet_disk_free_bytes"), 0);
  EXPECT_GT(metrics.value("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(metrics.value("process_open_fds"), 3);
}

TEST_F(Http, TheDocumentationNamesEveryFamily) {
  const auto page = read_file(std::filesystem::path(GAUNTLET_SOURCE_DIR) / "docs" / "operations.md");
  ASSERT_TRUE(page) << page.error().message;
  const PrometheusText metrics(get("/metrics").body);
  EXPECT_GT(metrics.families().size(), 30U);
  for (const auto& [name, family] : metrics.families())
    EXPECT_THAT(*page, HasSubstr("`" + name + "`")) << family.help;
}

TEST_F(Http, RefusedHellosAreCounted) {
  const auto endpoint = client::find_coordinator(folder_.path());
  ASSERT_TRUE(endpoint);
  client::Endpoint wrong = *endpoint;
  wrong.token = "wrong";
  EXPECT_FALSE(client::Client::connect(wrong, kPatience));
  const PrometheusText metrics(get("/metrics").body);
  EXPECT_EQ(metrics.value("gauntlet_refused_connections_total"), 1);
  EXPECT_EQ(metrics.value("gauntlet_connections", {{"role", "client"}}), 0);
}

TEST_F(Http, HealthIsOneWord) {
  const HttpAnswer answer = get("/healthz");
  EXPECT_THAT(answer.head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(answer.body, "ok\n");
}

TEST_F(Http, OnlyReadingIsAnswered) {
  EXPECT_THAT(get("/metrics?x=1").head, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get("/metrics?x=%zz").head, StartsWith("HTTP/1.1 400"));
  const HttpAnswer post = ask("POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_THAT(post.head, StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(post.head, HasSubstr("Allow: GET, HEAD\r\n"));
  const HttpAnswer head = ask("HEAD /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", false);
  EXPECT_THAT(head.head, HasSubstr("Content-Length: 3\r\n"));
  EXPECT_EQ(head.body, "");
}

TEST_F(Http, AConnectionIsKept) {
  HttpConnection connection(port_);
  for (int n = 0; n < 3; ++n) {
    connection.say("GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n");
    EXPECT_EQ(connection.hear().body, "ok\n");
  }
  connection.say("GET /healthz HTTP/1.0\r\n\r\n");
  EXPECT_EQ(connection.hear().body, "ok\n");
  EXPECT_TRUE(connection.is_closed());
}

TEST_F(Http, RubbishAndFloodsAreRefused) {
  EXPECT_THAT(ask("rubbish\r\n\r\n").head, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("GET / HTTP/1.1\r\nX: " + std::string(20000, 'x') + "\r\n\r\n").head,
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n").head, StartsWith("HTTP/1.1 400"));
  HttpConnection cut(port_);
  cut.say("GET /metr");
  EXPECT_EQ(get("/healthz").body, "ok\n") << "one slow reader holds nobody up";
}

TEST_F(Http, TheWorkFolderSaysWhereItIs) {
  const auto text = read_file(folder_ / "coordinator.json");
  ASSERT_TRUE(text);
  EXPECT_EQ(Json::parse(*text)["http"], fmt::format("127.0.0.1:{}", port_));
}

TEST_F(Http, APortInUseIsNamed) {
  testing_support::TempFolder other;
  ServeOptions options = options_for(other);
  options.http_address = "127.0.0.1";
  options.http_port = port_;
  const auto second = Server::open(options);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message,
              HasSubstr(fmt::format("port {} of 127.0.0.1 is in use; choose another with --http", port_)));
}

TEST(HttpOff, NothingListensUnlessAskedFor) {
  testing_support::TempFolder folder;
  RunningServer server(options_for(folder));
  EXPECT_EQ((*server).http_port(), 0);
  EXPECT_FALSE(Json::parse(*read_file(folder / "coordinator.json")).contains("http"));
}

TEST(MetricsTextTest, EscapesAndSpecialNumbers) {
  MetricsText text;
  text.family("odd", "gauge", "a \\ and\na line");
  text.sample(NAN, {{"name", "quote \" slash \\ line \n end"}});
  text.sample(-INFINITY);
  Histogram histogram({1, 2});
  for (const double value : {0.5, 1.0, 1.5, 7.0}) histogram.observe(value);
  text.histogram("h", "help", histogram);
  EXPECT_EQ(std::move(text).take(),
            "# HELP odd a \\\\ and\\na line\n# TYPE odd gauge\n"
            "odd{name=\"quote \\\" slash \\\\ line \\n end\"} NaN\nodd -Inf\n"
            "# HELP h help\n# TYPE h histogram\n"
            "h_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_sum 10\nh_count 4\n");
}

}  // namespace
}  // namespace gauntlet::coordinator
