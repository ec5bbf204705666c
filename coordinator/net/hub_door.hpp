// The hub, asked from another thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "coordinator/net/hub.hpp"

namespace gauntlet::coordinator {

/// Thread safety: `ask` may be called on any thread; nothing else of the hub may.
class HubDoor {
 public:
  /// Both outlive it, and every coroutine that waits in `ask`.
  HubDoor(Hub& hub, boost::asio::io_context& io) : hub_(hub), io_(io) {}

  /// Runs the coroutine that `question(hub)` gives on the hub's thread; the caller goes on, with what it
  /// told, where it was. `question` itself is called at once: it makes the coroutine and looks at nothing.
  template <class Question>
  [[nodiscard]] auto ask(Question question) const -> decltype(question(std::declval<Hub&>())) {
    auto telling = question(hub_);
    co_return co_await boost::asio::co_spawn(io_, std::move(telling), boost::asio::use_awaitable);
  }

 private:
  Hub& hub_;
  boost::asio::io_context& io_;
};

}  // namespace gauntlet::coordinator
