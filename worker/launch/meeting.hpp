// How a guard finds its agent: names, addresses, and the sentences that say why it did not.
// Thread safety: any thread; blocking calls.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <string>

#include "core/base/result.hpp"

namespace gauntlet::worker {

/// Equal where 127.0.0.1 is the same machine: the running kernel and the network namespace.
[[nodiscard]] std::string node_identity();
[[nodiscard]] std::string own_host_name();

struct Meeting {
  std::string host;  ///< of the agent, as other machines are told to reach it
  std::string port;
  std::string node;                   ///< node_identity() of the agent
  std::string who;                    ///< for messages: "rank 1 of 2"
  std::chrono::seconds patience{20};  ///< in all
};

/// Connects to the agent, trying again until patience ends. Errors (kUnreachable) name the address, the host
/// it was tried from, and for how long; an address that is loopback on another machine than the agent's is
/// not tried at all, and said.
[[nodiscard]] Result<boost::asio::ip::tcp::socket> meet(boost::asio::io_context& context,
                                                        const Meeting& meeting);

/// An IPv4 address that came through an IPv6 socket, as what it is; others unchanged.
[[nodiscard]] boost::asio::ip::address plain(const boost::asio::ip::address& address);

/// A socket that listens on every address of this machine, at a port of the system's choice. Errors (kIo)
/// say what for.
[[nodiscard]] Result<boost::asio::ip::tcp::acceptor> listen_anywhere(boost::asio::io_context& context,
                                                                     std::string_view purpose);

/// Notices within about ten seconds that the other machine is gone without a word.
void watch_peer(boost::asio::ip::tcp::socket& socket);

}  // namespace gauntlet::worker
