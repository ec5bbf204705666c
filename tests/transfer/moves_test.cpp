// Real agents without the coordinator's work folder: what they make ends up there, what they need comes, and
// what is killed on the way is gone on with.
#include "worker/transfer/moves.hpp"

#include "tests/coordinator/fixture.hpp"
#include "tests/support/process.hpp"
#include "tests/transfer/proxy.hpp"
#include "tests/transfer/support.hpp"

namespace gauntlet::transfer {
namespace {

using coordinator::RunningServer;
using ::testing::HasSubstr;
using testing_support::Process;
using testing_support::TempFolder;
using testing_support::wait_until;
using worker::Route;

/// A coordinator, and a relay in front of it.
class MovesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    start();
    proxy_ = std::make_unique<Proxy>((**server_).port());
  }
  void start() {
    coordinator::ServeOptions options = coordinator::options_for(there_);
    options.grace_ms = 1;  // an agent that was killed does not come back
    options.max_outbound_bytes = std::size_t{64} << 20;
    server_ = std::make_unique<RunningServer>(options);
  }
  void crash_and_restart() {
    server_->crash();
    start();
    proxy_->set_target((**server_).port());
  }
  [[nodiscard]] client::Client connect() const { return client::Client::connect(there_.path()).value(); }
  [[nodiscard]] Route route() const {
    Route route;
    route.find = [this]() -> Result<client::Endpoint> {
      GAUNTLET_TRY(client::Endpoint endpoint, client::find_coordinator(there_.path()));
      endpoint.port = proxy_->port();
      return endpoint;
    };
    return route;
  }
  /// A work folder that knows the coordinator and is none of its.
  void introduce(const TempFolder& own) const {
    own.write("coordinator.json", fmt::format(R"({{"host":"127.0.0.1","port":{}}})", proxy_->port()));
    std::filesystem::copy(there_ / "token", own / "token", std::filesystem::copy_options::overwrite_existing);
  }
  [[nodiscard]] std::unique_ptr<Process> agent(const TempFolder& own, int cache_mb = 0) const {
    introduce(own);
    return std::make_unique<Process>(
        std::vector<std::string>{GAUNTLET_TEST_AGENT, own.path().string(), GAUNTLET_TEST_EXECUTOR,
                                 std::to_string(cache_mb)},
        own.path());
  }
  static spec::JobSpec job(spec::JobKind kind, int n_kb, std::vector<spec::JobInput> inputs,
                           std::uint64_t seed = 1) {
    spec::JobSpec made;
    made.kind = kind;
    made.config = {{"kb", n_kb}};
    made.inputs = std::move(inputs);
    made.seed = seed;
    made.title = std::string(spec::name_of(kind));
    return made;
  }

  TempFolder there_;
  std::unique_ptr<RunningServer> server_;
  std::unique_ptr<Proxy> proxy_;
};

TEST_F(MovesTest, AnArtifactGoesThereAndComesBack) {
  const Made made;
  const auto pushed = worker::push_artifact(route(), made.folder);
  ASSERT_TRUE(pushed) << pushed.error().message;
  EXPECT_EQ(*pushed, made.hash);
  EXPECT_EQ(artifacts_of(there_.path()), artifacts_of(made.work.path()));

  const TempFolder here;
  const auto fetched = worker::fetch_artifact(route(), here.path(), made.key);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(*fetched, made.hash);
  EXPECT_EQ(artifacts_of(here.path()), artifacts_of(made.work.path()));
  const std::uint64_t before = proxy_->passed();
  ASSERT_TRUE(worker::fetch_artifact(route(), here.path(), made.key));
  EXPECT_LT(proxy_->passed() - before, 10'000U) << "what is there already travelled again";

  const auto none = worker::fetch_artifact(route(), here.path(), JobKey{});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
}

TEST_F(MovesTest, ACoordinatorThatDiesInThePushGoesOnWhereItStopped) {
  const Made made(60'000'000);
  proxy_->limit(30'000'000);
  Result<std::string> pushed = fail(ErrorCode::kInternal, "not pushed");
  std::thread pushing([&] { pushed = worker::push_artifact(route(), made.folder); });
  EXPECT_TRUE(wait_until([&] { return proxy_->is_full(); }));
  crash_and_restart();
  proxy_->limit(Proxy::kNoLimit);
  pushing.join();
  ASSERT_TRUE(pushed) << pushed.error().message;
  EXPECT_EQ(artifacts_of(there_.path()), artifacts_of(made.work.path()));
  // 30 MB had passed; at most the chunks on their way were lost.
  const std::uint64_t on_their_way = 4 * worker::kWindow * kChunkBytes;
  EXPECT_LT(proxy_->passed(), 60'000'000 + on_their_way + 1'000'000);
  EXPECT_EQ(n_incoming(there_.path()), 0U);
}

TEST_F(MovesTest, WhoeverGivesUpLeavesWhatHasCome) {
  const Made made(60'000'000);
  const TempFolder here;
  ASSERT_TRUE(worker::push_artifact(route(), made.folder));
  const std::uint64_t before = proxy_->passed();
  proxy_->limit(40'000'000);
  std::atomic<bool> cancelled = false;
  Route cut = route();
  cut.cancelled = &cancelled;
  Result<std::string> fetched = std::string();
  std::thread fetching([&] { fetched = worker::fetch_artifact(cut, here.path(), made.key); });
  EXPECT_TRUE(wait_until([&] { return proxy_->is_full(); }));
  cancelled = true;
  fetching.join();
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::kInterrupted);
  EXPECT_TRUE(artifacts_of(here.path()).empty());
  EXPECT_EQ(n_incoming(here.path()), 1U);
  proxy_->limit(Proxy::kNoLimit);
  ASSERT_TRUE(worker::fetch_artifact(route(), here.path(), made.key));
  EXPECT_EQ(artifacts_of(here.path()), artifacts_of(made.work.path()));
  EXPECT_LT(proxy_->passed() - before, 60'000'000 + 4 * worker::kWindow * kChunkBytes + 1'000'000);
  EXPECT_EQ(n_incoming(here.path()), 0U);
}

TEST_F(MovesTest, AgentsOfTheirOwnFoldersRunASweepAndAreKilledMeanwhile) {
  const spec::JobSpec first = job(spec::JobKind::kTrainModel, 40'000, {});
  const spec::JobSpec second = job(spec::JobKind::kEncode, 100, {{"model", *spec::key_of(first)}});
  const spec::JobSpec last =
      job(spec::JobKind::kEvaluate, 0, {{"codes", *spec::key_of(second)}, {"model", *spec::key_of(first)}});
  client::Client client = connect();
  const TempFolder one;
  const TempFolder two;
  // Each of the four connections may have a chunk that has not come whole.
  constexpr std::uint64_t kFewestWhole = 4;
  proxy_->limit((kFewestWhole + 3) * kChunkBytes + 1'000'000);
  std::unique_ptr<Process> pushing = agent(one);
  ASSERT_TRUE(coordinator::submit(client, "first", {first}));
  ASSERT_TRUE(wait_until([&] { return proxy_->is_full(); })) << pushing->err();
  EXPECT_EQ(coordinator::count_in(client, "done"), 0U) << "done before its artifact was there";
  ASSERT_TRUE(wait_until([&] { return n_held(there_.path()) >= kFewestWhole; })) << pushing->err();
  pushing->send(SIGKILL);
  pushing->wait();
  proxy_->limit(Proxy::kNoLimit);
  const std::uint64_t before = proxy_->passed();
  pushing = agent(one);
  ASSERT_TRUE(coordinator::reaches(client, "done", 1)) << pushing->err();
  EXPECT_LT(proxy_->passed() - before, 40'960'000U - (kFewestWhole - 1) * kChunkBytes) << "it began again";
  pushing->send(SIGTERM);
  EXPECT_EQ(pushing->wait().exit_code, 0) << pushing->err();

  proxy_->limit(20'000'000);
  std::unique_ptr<Process> fetching = agent(two);
  ASSERT_TRUE(coordinator::submit(client, "rest", {first, second, last}));
  ASSERT_TRUE(wait_until([&] { return proxy_->is_full(); })) << fetching->err();
  fetching->send(SIGKILL);
  fetching->wait();
  proxy_->limit(Proxy::kNoLimit);
  fetching = agent(two);
  ASSERT_TRUE(coordinator::reaches(client, "done", 3, 2)) << fetching->err();
  EXPECT_EQ(artifacts_of(there_.path()), artifacts_of(two.path()));
  EXPECT_EQ(artifacts_of(there_.path()).size(), 8U);
  for (const spec::JobSpec& made : {first, second})
    EXPECT_TRUE(artifacts::ArtifactStore(there_.path()).look(made.kind, *spec::key_of(made)));
  EXPECT_EQ(n_incoming(there_.path()), 0U);
  EXPECT_EQ(n_incoming(two.path()), 0U);
  fetching->send(SIGTERM);
  EXPECT_EQ(fetching->wait().exit_code, 0) << fetching->err();
}

TEST_F(MovesTest, WhatTheCoordinatorHasLostIsMadeAgain) {
  const spec::JobSpec first = job(spec::JobKind::kTrainModel, 100, {});
  const spec::JobSpec last = job(spec::JobKind::kEvaluate, 0, {{"model", *spec::key_of(first)}});
  client::Client client = connect();
  const TempFolder own;
  const std::unique_ptr<Process> worker = agent(own);
  ASSERT_TRUE(coordinator::submit(client, "first", {first}));
  ASSERT_TRUE(coordinator::reaches(client, "done", 1)) << worker->err();
  const auto folder = artifacts::ArtifactStore(there_.path()).folder_of(first.kind, *spec::key_of(first));
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(coordinator::submit(client, "rest", {first, last}));
  ASSERT_TRUE(coordinator::reaches(client, "done", 2, 2)) << worker->err();
  EXPECT_TRUE(std::filesystem::exists(folder / "manifest.json"));
}

TEST_F(MovesTest, ACheckpointGoesToTheNextMachine) {
  spec::JobSpec training = job(spec::JobKind::kTrainModel, 10, {});
  training.config["checkpoint"] = true;
  client::Client client = connect();
  const TempFolder one;
  const TempFolder two;
  std::unique_ptr<Process> worker = agent(one);
  ASSERT_TRUE(coordinator::submit(client, "training", {training}));
  const auto saved = checkpoint_folder(there_.path(), *spec::key_of(training)) / kCheckpointFile;
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(saved); })) << worker->err();
  EXPECT_EQ(read_file(saved).value(), "epoch 7");
  worker->send(SIGKILL);
  worker->wait();
  worker = agent(two);
  ASSERT_TRUE(coordinator::reaches(client, "done", 1)) << worker->err();
  EXPECT_FALSE(std::filesystem::exists(saved)) << "a training that is done needs none";
}

TEST_F(MovesTest, TheCacheKeepsToItsLimit) {
  client::Client client = connect();
  const TempFolder own;
  const std::unique_ptr<Process> worker = agent(own, 5);
  std::vector<spec::JobSpec> jobs;
  for (std::uint64_t seed = 1; seed <= 6; ++seed)
    jobs.push_back(job(spec::JobKind::kTrainModel, 2000, {}, seed));
  ASSERT_TRUE(coordinator::submit(client, "six", jobs));
  ASSERT_TRUE(coordinator::reaches(client, "done", 6)) << worker->err();
  EXPECT_EQ(artifacts_of(there_.path()).size(), 6U * 4);
  EXPECT_LE(artifacts_of(own.path()).size(), 3U * 4);
  EXPECT_GE(artifacts_of(own.path()).size(), 1U * 4);
}

TEST_F(MovesTest, ASharedFolderIsKnownByWhatLiesInIt) {
  client::Client client = connect();
  // The coordinator's own folder under another name, and an agent that reaches it through the relay.
  const TempFolder elsewhere;
  const std::filesystem::path alias = elsewhere / "alias";
  std::filesystem::create_directory_symlink(there_.path(), alias);
  const Process worker({GAUNTLET_TEST_AGENT, alias.string(), GAUNTLET_TEST_EXECUTOR, "0"}, elsewhere.path());
  ASSERT_TRUE(coordinator::submit(client, "one", {job(spec::JobKind::kTrainModel, 100, {})}));
  ASSERT_TRUE(coordinator::reaches(client, "done", 1)) << worker.err();
  EXPECT_THAT(worker.err(), ::testing::Not(HasSubstr("is another one")));

  // A copy of it is another folder.
  const TempFolder copy;
  introduce(copy);
  std::filesystem::create_directories(copy / "tmp");
  std::ofstream(copy / "tmp/work-folder-0123456789abcdef0123456789abcdef") << "";
  const Process stranger({GAUNTLET_TEST_AGENT, copy.path().string(), GAUNTLET_TEST_EXECUTOR, "0"},
                         copy.path());
  EXPECT_TRUE(
      wait_until([&] { return stranger.err().find("work folder is another one") != std::string::npos; }));
}

}  // namespace
}  // namespace gauntlet::transfer
