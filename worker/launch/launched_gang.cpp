#include "worker/launch/launched_gang.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <random>

#include "worker/launch/launched_rank.hpp"
#include "worker/launch/meeting.hpp"
#include "worker/launch/rank_guard.hpp"

namespace gauntlet::worker {
namespace {

using boost::asio::ip::tcp;

constexpr std::size_t kMaxTailBytes = 4096;
/// After its last rank has ended, the launcher gets this long to end by itself.
constexpr std::chrono::seconds kLauncherPatience{5};
/// Connected, without having said who they are.
constexpr std::size_t kMaxGuests = 512;

std::string new_secret() {
  std::random_device device;
  std::string secret;
  for (int word = 0; word < 8; ++word) secret += fmt::format("{:08x}", device());
  return secret;
}

bool is_same_secret(const std::string& one, const std::string& other) {
  return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

/// "" when both know the same; else the first difference.
std::string difference(const proto::RankHello& hello, const std::vector<proto::EntryVersion>& ours) {
  std::map<std::pair<std::string, std::string>, std::pair<std::int64_t, std::int64_t>> versions;
  for (const proto::EntryVersion& entry : ours)
    versions[{entry.kind(), entry.name()}].first = entry.version();
  for (const proto::EntryVersion& entry : hello.entries())
    versions[{entry.kind(), entry.name()}].second = entry.version();
  const auto text = [](std::int64_t version) {
    return version == 0 ? std::string("unknown") : fmt::format("version {}", version);
  };
  for (const auto& [entry, known] : versions) {
    if (known.first == known.second) continue;
    return fmt::format("{} {} is {} there and {} here", entry.first, entry.second, text(known.second),
                       text(known.first));
  }
  return "";
}

}  // namespace

/// A connection that has not said who it is.
struct LaunchedGang::Guest {
  std::shared_ptr<FrameChannel> channel;
  boost::asio::ip::address peer, local;
};

Result<std::shared_ptr<LaunchedGang>> LaunchedGang::start(boost::asio::io_context& context,
                                                          GangOptions options, Handlers handlers) {
  std::shared_ptr<LaunchedGang> gang(new LaunchedGang(context, std::move(options), std::move(handlers)));
  for (std::size_t rank = 0; rank < gang->options_.layout.world(); ++rank)
    gang->ranks_.push_back(std::make_shared<LaunchedRank>(context, gang));
  GAUNTLET_TRY(gang->acceptor_, listen_anywhere(context, "the ranks of a gang"));
  GAUNTLET_CHECK_OK(gang->launch());
  gang->accept();
  gang->watch_joining();
  return gang;
}

LaunchedGang::LaunchedGang(boost::asio::io_context& context, GangOptions options, Handlers handlers)
    : context_(context),
      options_(std::move(options)),
      handlers_(std::move(handlers)),
      secret_(new_secret()),
      acceptor_(context),
      output_(context),
      joining_(context) {}

LaunchedGang::~LaunchedGang() {
  for (const auto& guest : guests_) guest->channel->close();
  std::error_code ignored;
  std::filesystem::remove(options_.layout.host_file, ignored);
}

std::shared_ptr<ExecutorLink> LaunchedGang::rank(std::size_t index, ExecutorLink::Handlers handlers) {
  ranks_.at(index)->set_handlers(std::move(handlers));
  return ranks_[index];
}

Status LaunchedGang::launch() {
  Command guard = options_.guard;
  guard.environment.emplace_back(kSecretVariable, secret_);
  guard.arguments.insert(guard.arguments.end(), {"--launcher", std::string(options_.launcher->name),
                                                 "--connect-host", options_.address, "--connect-port",
                                                 fmt::format("{}", acceptor_.local_endpoint().port()),
                                                 "--agent-node", node_identity()});
  GAUNTLET_TRY(Command command, options_.launcher->command(options_.settings, options_.layout, guard));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail(ErrorCode::kIo, "cannot make a pipe for {}", options_.launcher->name);
  output_.assign(ends[0]);
  command.output = ends[1];
  auto started =
      ExecutorProcess::start(context_, command, {nullptr, [weak = weak_from_this()](const Ending& ending) {
                                                   if (const auto self = weak.lock())
                                                     self->launcher_ended(ending);
                                                 }});
  ::close(ends[1]);
  if (!started) return fail(std::move(started.error()));
  process_ = std::move(*started);
  read_output();
  return {};
}

void LaunchedGang::read_output() {
  output_.async_read_some(
      boost::asio::buffer(block_),
      [weak = weak_from_this()](const boost::system::error_code& error, std::size_t n_bytes) {
        const auto self = weak.lock();
        if (!self || error) return;
        const std::string_view text(self->block_.data(), n_bytes);
        self->tail_ += text;
        if (self->tail_.size() > kMaxTailBytes) self->tail_.erase(0, self->tail_.size() - kMaxTailBytes);
        if (self->handlers_.on_output) self->handlers_.on_output(text);
        self->read_output();
      });
}

void LaunchedGang::accept() {
  acceptor_.async_accept(
      [weak = weak_from_this()](const boost::system::error_code& error, tcp::socket socket) {
        const auto self = weak.lock();
        if (!self || error == boost::asio::error::operation_aborted || !self->acceptor_.is_open()) return;
        if (!error && self->guests_.size() < kMaxGuests) {
          watch_peer(socket);
          boost::system::error_code gone;
          const auto guest = std::make_shared<Guest>();
          guest->peer = plain(socket.remote_endpoint(gone).address());
          guest->local = plain(socket.local_endpoint(gone).address());
          guest->channel = std::make_shared<FrameChannel>(FrameChannel::Socket(std::move(socket)));
          const std::weak_ptr<Guest> who = guest;
          guest->channel->set_handlers({[weak, who](const proto::Frame& frame) {
                                          const auto gang = weak.lock();
                                          const auto speaker = who.lock();
                                          if (gang && speaker) gang->take_first(speaker, frame);
                                        },
                                        [weak, who](const Error&) {
                                          const auto gang = weak.lock();
                                          const auto left = who.lock();
                                          if (gang && left) std::erase(gang->guests_, left);
                                        }});
          self->guests_.push_back(guest);
          guest->channel->start();
        }
        self->accept();
      });
}

void LaunchedGang::watch_joining() {
  joining_.expires_after(options_.join_patience);
  joining_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!self || error || self->complete_) return;
    std::string missing;
    for (std::size_t rank = 0; rank < self->ranks_.size(); ++rank) {
      if (!self->ranks_[rank]->is_here()) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", rank);
    }
    self->refuse(
        {ErrorCode::kUnreachable,
         fmt::format("rank {} of {} did not reach this worker at {}:{} within {} s of the start of {}{}",
                     missing, self->ranks_.size(), self->options_.address,
                     self->acceptor_.local_endpoint().port(), self->options_.join_patience.count(),
                     self->options_.launcher->name, self->said())});
  });
}

/// Whoever connects must know the attempt's secret; others are dropped without an answer.
void LaunchedGang::take_first(const std::shared_ptr<Guest>& guest, const proto::Frame& frame) {
  const auto self = shared_from_this();
  std::erase(guests_, guest);
  const proto::RankHello& hello = frame.rank_hello();
  const bool knows = frame.has_rank_hello() && is_same_secret(hello.secret(), secret_);
  if (!knows || hello.rank() >= ranks_.size() || ranks_[hello.rank()]->is_here() ||
      ranks_[hello.rank()]->is_over()) {
    guest->channel->close();
    return;
  }
  if (const Status fits = check(hello); !fits) {
    guest->channel->close();
    return refuse(fits.error());
  }
  ranks_[hello.rank()]->adopt(guest->channel, hello, guest->peer.is_loopback());
  guest->channel.reset();
  if (!guest->peer.is_loopback() && guest->peer != guest->local) outside_ = guest->local.to_string();
  complete_ = std::all_of(ranks_.begin(), ranks_.end(), [](const auto& rank) { return rank->is_here(); });
  if (complete_) welcome_all();
}

Status LaunchedGang::check(const proto::RankHello& hello) const {
  if (hello.world() != ranks_.size()) {
    return fail(ErrorCode::kInvalid, "{} started {} ranks where {} were asked for", options_.launcher->name,
                hello.world(), ranks_.size());
  }
  const std::string different = difference(hello, options_.entries);
  if (different.empty()) return {};
  return fail(
      ErrorCode::kInvalid,
      "rank {} of {} on {} has another catalog than this worker on {}: {}; all machines of a gang need "
      "the same gauntlet",
      hello.rank(), ranks_.size(), hello.host(), own_host_name(), different);
}

void LaunchedGang::refuse(const Error& error) {
  if (complete_ || over_) return;
  complete_ = true;
  if (handlers_.on_refused) handlers_.on_refused(error);
  end_launcher();
}

void LaunchedGang::welcome_all() {
  joining_.cancel();
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  for (const auto& stranger : std::exchange(guests_, {})) stranger->channel->close();
  const std::string rendezvous = ranks_.front()->hello().rendezvous();
  for (const auto& rank : ranks_) {
    rank->flush([&](proto::RunAttempt& attempt) {
      attempt.set_rendezvous(rendezvous);
      // Seen from here, ranks of this machine have its loopback address; the others reach them by this one.
      if (rank->is_inside()) attempt.set_interface(outside_);
    });
  }
}

void LaunchedGang::end_launcher() {
  if (process_ != nullptr && !over_) process_->end();
}

std::string LaunchedGang::said() const {
  std::string text = tail_;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.empty() ? "" : fmt::format("; it printed:\n{}", text);
}

std::string LaunchedGang::complaint() const {
  const std::string ending = fmt::format(" of {} on ", ranks_.size());  // rank 1 of 2 on node7 cannot …
  for (std::size_t begin = 0; begin < tail_.size();) {
    const std::size_t end = std::min(tail_.find('\n', begin), tail_.size());
    const std::string_view line = std::string_view(tail_).substr(begin, end - begin);
    const std::size_t who = line.find("rank ");
    if (who != std::string_view::npos && line.find(ending, who) != std::string_view::npos)
      return fmt::format(": {}", line.substr(who));
    begin = end + 1;
  }
  return "";
}

bool LaunchedGang::all_ended() const {
  return std::all_of(ranks_.begin(), ranks_.end(), [](const auto& rank) { return rank->is_over(); });
}

void LaunchedGang::rank_ended() {
  if (over_ || !all_ended()) return;
  joining_.expires_after(kLauncherPatience);
  joining_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->end_launcher();
  });
}

void LaunchedGang::launcher_ended(const Ending& ending) {
  const auto self = shared_from_this();
  over_ = true;
  joining_.cancel();
  boost::system::error_code error;
  acceptor_.close(error);
  output_.non_blocking(true, error);
  while (!error) {  // its last words
    const std::size_t n_bytes = output_.read_some(boost::asio::buffer(block_), error);
    if (error) break;
    tail_.append(block_.data(), n_bytes);
    if (handlers_.on_output) handlers_.on_output({block_.data(), n_bytes});
  }
  output_.close(error);
  const std::string story = fmt::format("{} ended ({}) before this rank did{}", options_.launcher->name,
                                        describe(ending), complaint());
  for (const auto& rank : ranks_) rank->over({.lost = story});
  if (handlers_.on_over) handlers_.on_over();
}

}  // namespace gauntlet::worker
