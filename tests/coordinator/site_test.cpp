// The page of a coordinator: who may see it, what it fetches.

#include <set>

#include "coordinator/net/http_text.hpp"
#include "core/base/files.hpp"
#include "core/base/log_file.hpp"
#include "core/db/connection.hpp"
#include "tests/coordinator/fixture.hpp"
#include "tests/coordinator/http_connection.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class SiteTest : public CoordinatorTest {
 protected:
  SiteTest() {
    ServeOptions options = options_for(folder_);
    options.http_address = "127.0.0.1";
    start(options);
    port_ = (**server_).http_port();
    token_ = client::read_token(folder_ / "token").value();
  }
  [[nodiscard]] HttpAnswer get(const std::string& target, const std::string& header) const {
    HttpConnection connection(port_);
    connection.say("GET " + target + " HTTP/1.1\r\nHost: here\r\n" + header + "Connection: close\r\n\r\n");
    return connection.hear();
  }
  [[nodiscard]] std::string own_cookie() const {
    return fmt::format("Cookie: other=1; gauntlet-{}={}\r\n", port_, token_);
  }
  [[nodiscard]] HttpAnswer get(const std::string& target) const { return get(target, own_cookie()); }
  [[nodiscard]] Json json(const std::string& target) const {
    const HttpAnswer answer = get(target);
    EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/json")) << target;
    Json document = Json::parse(answer.body, nullptr, false);
    EXPECT_FALSE(document.is_discarded()) << answer.body;
    return document;
  }

  std::uint16_t port_ = 0;
  std::string token_;
};

TEST_F(SiteTest, NothingIsShownWithoutTheToken) {
  for (const char* target : {"/", "/page.js", "/api/status", "/api/log?job=0", "/nowhere", "/../token"}) {
    SCOPED_TRACE(target);
    EXPECT_THAT(get(target, "").head, StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(get(target, "Authorization: Bearer wrong\r\n").head, StartsWith("HTTP/1.1 403"));
    EXPECT_THAT(get(target, fmt::format("Cookie: gauntlet-{}={}x\r\n", port_, token_)).head,
                StartsWith("HTTP/1.1 403"));
    EXPECT_THAT(get(target, fmt::format("Cookie: gauntlet-1={}\r\n", token_)).head,
                StartsWith("HTTP/1.1 401"))
        << "another coordinator's cookie";
  }
  EXPECT_THAT(get("/", "").body, HasSubstr("`gauntlet page`"));
  EXPECT_THAT(get("/api/status", "Authorization: Bearer " + token_ + "\r\n").head,
              StartsWith("HTTP/1.1 200"));
}

TEST_F(SiteTest, TheTokenMovesFromTheAddressIntoACookie) {
  EXPECT_THAT(get("/?token=wrong", "").head, StartsWith("HTTP/1.1 403"));
  const HttpAnswer entered = get("/?token=" + token_, "");
  EXPECT_THAT(entered.head, StartsWith("HTTP/1.1 303"));
  EXPECT_THAT(entered.head, HasSubstr("Location: /\r\n"));
  EXPECT_THAT(
      entered.head,
      HasSubstr(fmt::format("Set-Cookie: gauntlet-{}={}; HttpOnly; SameSite=Strict; Path=/", port_, token_)));
  EXPECT_THAT(get("/").head, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get("/nowhere").head, StartsWith("HTTP/1.1 404"));
}

TEST_F(SiteTest, GuessingTokensIsSlowedDown) {
  bool refused = false;
  std::vector<std::unique_ptr<HttpConnection>> guesses;
  for (int n = 0; n < 60; ++n) {
    guesses.push_back(std::make_unique<HttpConnection>(port_));
    guesses.back()->say("GET /?token=guess HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
  }
  for (const auto& guess : guesses) {
    refused = refused || guess->hear().head.starts_with("HTTP/1.1 429");
  }
  EXPECT_TRUE(refused) << "as many as wait at once are let wait";
}

TEST_F(SiteTest, EveryReplyForbidsForeignCode) {
  for (const std::string& head :
       {get("/").head, get("/api/status").head, get("/", "").head, get("/nowhere").head}) {
    EXPECT_THAT(head, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self';"));
    EXPECT_THAT(head, Not(HasSubstr("unsafe-inline")));
    EXPECT_THAT(head, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
    EXPECT_THAT(head, HasSubstr("X-Frame-Options: DENY\r\n"));
    EXPECT_THAT(head, HasSubstr("Referrer-Policy: no-referrer\r\n"));
  }
  const std::string page = get("/").body;
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  EXPECT_THAT(page, Not(HasSubstr("https://")));
  EXPECT_THAT(page, Not(HasSubstr("<style")));
}

TEST_F(SiteTest, StatusIsWhatThePeersAreTold) {
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "<script>alert(1)</script>", noops(12)));
  const Json status = json("/api/status");
  ASSERT_EQ(status["sweeps"].size(), 1U);
  EXPECT_EQ(status["sweeps"][0]["name"], "<script>alert(1)</script>");
  EXPECT_EQ(status["sweeps"][0]["jobs"]["queued"], 12);
  EXPECT_EQ(json("/api/status?sweep=1")["sweeps"].size(), 1U);
  const HttpAnswer unknown = get("/api/status?sweep=7");
  EXPECT_THAT(unknown.head, StartsWith("HTTP/1.1 404"));
  EXPECT_EQ(Json::parse(unknown.body)["error"], "there is no sweep 7");
}

TEST_F(SiteTest, JobsComeInPages) {
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "first", noops(12)));
  std::set<std::string> keys;
  Json after = 0;
  int n_pages = 0;
  while (!after.is_null()) {
    const Json page = json(fmt::format("/api/jobs?sweep=1&limit=5&after={}", after.dump()));
    for (const Json& job : page["jobs"]) EXPECT_TRUE(keys.insert(job["key"]).second);
    after = page["next"];
    ASSERT_LT(++n_pages, 5);
  }
  EXPECT_EQ(keys.size(), 12U);
  EXPECT_EQ(json("/api/jobs?sweep=1")["jobs"].size(), 12U);
  EXPECT_EQ(json("/api/jobs")["jobs"].size(), 12U);
  EXPECT_EQ(json("/api/jobs?sweep=2")["jobs"].size(), 0U);
  EXPECT_EQ(json("/api/jobs?state=queued")["jobs"].size(), 12U);
  EXPECT_EQ(json("/api/jobs?state=done")["jobs"].size(), 0U);
  EXPECT_EQ(json("/api/jobs?text=" + keys.begin()->substr(0, 20))["jobs"].size(), 1U);
  const std::string title = json("/api/jobs?limit=1")["jobs"][0]["title"];
  EXPECT_GE(json("/api/jobs?text=NOOP")["jobs"].size(), title.starts_with("noop") ? 1U : 0U);
  EXPECT_EQ(json("/api/jobs?text=%25_%27")["jobs"].size(), 0U) << "no pattern, no SQL";
}

TEST_F(SiteTest, AJobSaysWhyItWaitsAndWhatItPrinted) {
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "first", noops(3)));
  const std::string waiting = json("/api/jobs?limit=1")["jobs"][0]["key"];
  const Json why = json("/api/explain?job=" + waiting.substr(0, 12));
  EXPECT_EQ(why["state"], "queued");
  EXPECT_FALSE(why["reasons"].empty());
  EXPECT_EQ(json("/api/attempts?job=" + waiting)["attempts"].size(), 0U);
  EXPECT_THAT(get("/api/explain?job=zzz").head, StartsWith("HTTP/1.1 4"));

  FakeWorker worker(folder_.path(), "agent", 3);
  worker.await_leases(3);
  const proto::Lease lease = worker.held.begin()->second;
  const std::string key = to_hex(proto::key_from_bytes(lease.key())->digest);
  const auto log = attempt_log(folder_.path(), key, 1);
  ASSERT_TRUE(make_directories(log.parent_path()));
  ASSERT_TRUE(write_file_atomic(log, "line one\n<b>\xff\n"));
  HttpConnection connection(port_);
  connection.say("GET /api/log?job=" + key + " HTTP/1.1\r\nHost: here\r\n" + own_cookie() + "\r\n");
  const std::string first = connection.hear_until("line one");
  EXPECT_THAT(first, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(first, HasSubstr("data: {\"attempt\":1,\"text\":\"line one\\n<b>\xef\xbf\xbd\\n\"}"));
  worker.report({FakeWorker::report_of(lease, 0, "")});
  EXPECT_THAT(connection.hear_until("ended"), HasSubstr("data: {\"ended\":true}"));
  HttpConnection wrong(port_);
  wrong.say("GET /api/log?job=123zz HTTP/1.1\r\nHost: here\r\n" + own_cookie() + "\r\n");
  EXPECT_THAT(wrong.hear_until("\n\n"), HasSubstr("\"error\"")) << "a stream tells errors, too";
}

TEST_F(SiteTest, ResultsAreAskedForWithoutAny) {
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "first", noops(3)));
  EXPECT_EQ(json("/api/metrics?sweep=1")["metrics"], Json::array());
  EXPECT_EQ(json("/api/curves?sweep=1&name=pr%3Aradius_micro")["curves"], Json::array());
  EXPECT_THAT(get("/api/table?sweep=9&metric=map").head, StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(get("/api/curves?job=zz").head, StartsWith("HTTP/1.1 400"));
}

TEST_F(SiteTest, ViewersAreAnsweredWhileJobsFinish) {
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "busy", noops(3000)));
  std::atomic<bool> is_over{false};
  std::atomic<int> n_answers{0};
  std::vector<std::thread> viewers;
  for (const char* target :
       {"/api/status", "/api/status?sweep=1", "/api/jobs?sweep=1", "/metrics", "/healthz"}) {
    viewers.emplace_back([&, target] {
      do {
        const HttpAnswer answer = get(target);
        EXPECT_THAT(answer.head, StartsWith("HTTP/1.1 200")) << target;
        ++n_answers;
      } while (!is_over);
    });
  }
  FakeWorker worker(folder_.path(), "agent", 100);
  worker.work_until(3000);
  is_over = true;
  for (std::thread& viewer : viewers) viewer.join();
  EXPECT_GE(n_answers, 5);
  EXPECT_EQ(count_in(client, "done"), 3000U);
}

TEST_F(SiteTest, AnOpenLogDoesNotHoldUpTheEnd) {
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "first", noops(3)));
  FakeWorker worker(folder_.path(), "agent", 3);
  worker.await_leases(3);
  const std::string key = to_hex(proto::key_from_bytes(worker.held.begin()->second.key())->digest);
  const auto log = attempt_log(folder_.path(), key, 1);
  ASSERT_TRUE(make_directories(log.parent_path()));
  ASSERT_TRUE(write_file_atomic(log, "line one\n"));
  HttpConnection reader(port_);
  reader.say("GET /api/log?job=" + key + " HTTP/1.1\r\nHost: here\r\n" + own_cookie() + "\r\n");
  reader.hear_until("line one");
  EXPECT_TRUE(server_->stop());
  reader.hear_until("never said");  // returns when the connection is closed
}

TEST_F(SiteTest, NoPageLeavesTheDatabasesLogInUse) {
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "first", noops(30)));
  FakeWorker worker(folder_.path(), "agent", 10);
  worker.work_until(30);
  for (const char* target :
       {"/api/status", "/api/jobs", "/api/jobs?limit=1", "/api/metrics?sweep=1", "/api/throughput?sweep=1",
        "/api/table?sweep=1&metric=map", "/api/table?sweep=9&metric=map", "/api/curves?sweep=1&name=pr",
        "/api/curves?job=zz"}) {
    EXPECT_FALSE(get(target).body.empty()) << target;
    auto writer = db::Connection::open_file(folder_ / "gauntlet.db");
    ASSERT_TRUE(writer) << writer.error().message;
    EXPECT_EQ(*writer->integer("PRAGMA wal_checkpoint(TRUNCATE)"), 0) << target << " still reads";
  }
}

TEST_F(SiteTest, ThroughputIsCountedFromSomeJobsOfLargeSweeps) {
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "small", noops(6)));
  EXPECT_EQ(json("/api/throughput?sweep=9")["curves"], Json::array());
  FakeWorker worker(folder_.path(), "agent", 1000);
  worker.work_until(6);
  // Jobs of all steps, from their rate: whatever the machine's speed.
  const auto n_finished = [&](const Json& curve) {
    double sum = 0;
    const double minutes = 2 * curve["x"][0].get<double>();
    for (const Json& rate : curve["y"]) sum += rate.get<double>() * minutes;
    return sum;
  };
  const Json small = json("/api/throughput?sweep=1")["curves"];
  ASSERT_EQ(small.size(), 1U);
  EXPECT_EQ(small[0]["name"], "Jobs finished");
  EXPECT_NEAR(n_finished(small[0]), 6, 1e-6);
  ASSERT_TRUE(submit(client, "large", noops(7000, 6)));
  worker.work_until(7000);
  const Json large = json("/api/throughput?sweep=2")["curves"];
  ASSERT_EQ(large.size(), 1U);
  EXPECT_EQ(large[0]["name"], "Jobs finished, from one in 4");
  EXPECT_LE(large[0]["x"].size(), 61U);
  EXPECT_NEAR(n_finished(large[0]), 7000, 10);
  ASSERT_TRUE(submit(client, "waiting", noops(1, 7006)));
  EXPECT_EQ(json("/api/throughput?sweep=3")["curves"], Json::array()) << "nothing has finished";
}

TEST(HttpText, TargetsAndCookies) {
  EXPECT_EQ(url_decoded("a%20b+c%2B"), "a b c+");
  for (const char* broken : {"%", "%1", "%zz", "a%2"}) EXPECT_FALSE(url_decoded(broken)) << broken;
  const auto query = query_of("/x?a=1&b=&c&a=2&d=%26");
  ASSERT_TRUE(query);
  EXPECT_EQ(*query, (std::map<std::string, std::string>{{"a", "2"}, {"b", ""}, {"c", ""}, {"d", "&"}}));
  EXPECT_TRUE(query_of("/x")->empty());
  EXPECT_FALSE(query_of("/x?%"));
  EXPECT_EQ(cookie_in("a=1; b=2; bb=3", "b"), "2");
  EXPECT_EQ(cookie_in("a=1; bb=3", "b"), "");
  EXPECT_EQ(cookie_in("", "b"), "");
}

}  // namespace
}  // namespace gauntlet::coordinator
