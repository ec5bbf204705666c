#include "worker/launch/meeting.hpp"

#include <gmock/gmock.h>

#include "worker/launch/launcher.hpp"

namespace gauntlet::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Meeting meeting(std::string host, std::string port, std::string node) {
  return {std::move(host), std::move(port), std::move(node), "rank 1 of 2", std::chrono::seconds(1)};
}

TEST(Meet, FindsWhoListens) {
  boost::asio::io_context context;
  auto acceptor = listen_anywhere(context, "a test");
  ASSERT_TRUE(acceptor) << acceptor.error().message;
  const std::string port = fmt::format("{}", acceptor->local_endpoint().port());
  const auto socket = meet(context, meeting("127.0.0.1", port, node_identity()));
  ASSERT_TRUE(socket) << socket.error().message;
  EXPECT_TRUE(plain(socket->remote_endpoint().address()).is_loopback());
}

TEST(Meet, SaysWhichAddressFromWhereAndHowLong) {
  boost::asio::io_context context;
  std::string port;
  {
    const auto acceptor = listen_anywhere(context, "a test");
    ASSERT_TRUE(acceptor);
    port = fmt::format("{}", acceptor->local_endpoint().port());
  }  // nobody listens there now
  const auto socket = meet(context, meeting("127.0.0.1", port, node_identity()));
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(socket.error().message,
              AllOf(HasSubstr("rank 1 of 2 on " + own_host_name()), HasSubstr("127.0.0.1:" + port),
                    HasSubstr("tried for 1 s"), HasSubstr("refused")));
}

TEST(Meet, SaysWhichNameIsUnknown) {
  boost::asio::io_context context;
  const auto socket = meet(context, meeting("no-such-host.invalid", "7000", "elsewhere"));
  ASSERT_FALSE(socket);
  EXPECT_THAT(socket.error().message, AllOf(HasSubstr("no-such-host.invalid:7000"), HasSubstr("tried for")));
}

TEST(Meet, TellsANameThatMeansThisMachineOnAnother) {
  boost::asio::io_context context;
  auto acceptor = listen_anywhere(context, "a test");  // something may well answer there
  ASSERT_TRUE(acceptor);
  const std::string port = fmt::format("{}", acceptor->local_endpoint().port());
  const auto socket = meet(context, meeting("localhost", port, "another kernel/net:[1]"));
  ASSERT_FALSE(socket);
  EXPECT_THAT(socket.error().message, AllOf(HasSubstr("its address localhost resolves to "),
                                            HasSubstr("not the worker's machine"), HasSubstr("--address")));
}

TEST(Launchers, AreFoundByName) {
  EXPECT_THAT(launcher_names(), ElementsAre("direct", "mpirun", "srun"));
  for (const std::string& name : launcher_names()) EXPECT_EQ(find_launcher(name)->name, name);
  EXPECT_EQ(find_launcher("pdsh"), nullptr);
}

TEST(Launchers, SayWhyTheyCannotBeUsed) {
  const auto reach = find_launcher("mpirun")->reach({"/no/such/mpirun", {}});
  ASSERT_FALSE(reach);
  EXPECT_THAT(reach.error().message, HasSubstr("/no/such/mpirun is no program"));
  ::unsetenv("SLURM_JOB_ID");
  const auto outside = find_launcher("srun")->reach({"/bin/true", {}});
  ASSERT_FALSE(outside);
  EXPECT_THAT(outside.error().message, HasSubstr("not inside a Slurm allocation"));
  const auto seat = find_launcher("srun")->take_seat();
  ASSERT_FALSE(seat);
  EXPECT_THAT(seat.error().message, HasSubstr("SLURM_PROCID is ''"));
}

}  // namespace
}  // namespace gauntlet::worker
