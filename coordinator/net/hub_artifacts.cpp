// What workers without the work folder push and fetch. Disks and hashes are slow: they have threads of their
// own, and the connection's next message is read when the answer to this one is there.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "coordinator/net/hub.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;

/// Runs on one of the artifact threads.
asio::awaitable<Result<proto::Frame>> answer_there(transfer::Exchange& exchange,
                                                   std::shared_ptr<proto::Frame> request) {
  co_return exchange.answer(std::move(*request));
}

}  // namespace

asio::awaitable<void> Hub::on_artifact(SessionPtr session, Ask ask) {
  const std::uint64_t request = ask.id();
  auto shared = std::make_shared<proto::Frame>(std::move(ask));
  asio::awaitable<Result<proto::Frame>> answering = answer_there(exchange_, shared);
  Result<proto::Frame> answer =
      co_await asio::co_spawn(artifact_threads_, std::move(answering), asio::use_awaitable);
  if (!answer) {
    session->fail(request, answer.error());
    co_return;
  }
  answer->set_id(request);
  session->send_long(std::move(*answer));
}

}  // namespace gauntlet::coordinator
