#include "coordinator/net/site.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <chrono>
#include <memory>
#include <utility>

#include "coordinator/net/site_data.hpp"
#include "core/base/text.hpp"
#include "core/proto/json.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;

constexpr const char* kJson = "application/json; charset=utf-8";
constexpr std::size_t kMaxJobs = 500;
constexpr std::chrono::milliseconds kLogPause{500};  ///< between two looks at a log nothing was added to
constexpr int kPausesPerSign = 20;                   ///< of life
/// A sweep's counts are asked of the hub anew after this long, as its throughput is of the database. Commands
/// are never told older ones.
constexpr std::chrono::milliseconds kStatusAge{1000};
/// A table is made anew for whoever asks after this long; pages ask every five seconds.
constexpr std::chrono::milliseconds kTableAge{2000};
/// Of the database's file that questions read where it lies, as much as SQLite allows: a busy writer makes
/// the copies in a reader's cache stale with every commit.
constexpr std::int64_t kMappedBytes = std::int64_t{2} << 30U;

std::string text_of(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpReply json_reply(const Json& document) { return {200, kJson, text_of(document)}; }

HttpReply json_reply(const Error& error) {
  const bool is_missing = error.code == ErrorCode::kNotFound;
  const bool is_asker = error.code == ErrorCode::kInvalid;
  HttpReply reply = json_reply(Json{{"error", error.message}});
  reply.status = is_missing ? 404U : is_asker ? 400U : 503U;
  return reply;
}

/// A number in an address; 0 when it is none.
std::uint64_t number_of(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? number : 0;
}

/// A log from its beginning to its end, as events whose data is {"text"} or, at last, {"ended"} or {"error"}.
class LogEvents {
 public:
  LogEvents(HubDoor hub, proto::LogRequest request) : hub_(hub), request_(std::move(request)) {}

  asio::awaitable<std::optional<std::string>> next() {
    if (is_over_) co_return std::nullopt;
    for (int n_pauses = 0;; ++n_pauses) {
      const auto question = [asked = request_](Hub& hub) { return hub.tell_log(asked); };
      const Result<proto::LogReply> part = co_await hub_.ask(question);
      if (!part) co_return last({{"error", part.error().message}});
      request_.set_offset(part->next_offset());
      request_.set_attempt(part->attempt());
      if (!part->data().empty()) co_return event({{"text", part->data()}, {"attempt", part->attempt()}});
      if (part->at_end() && part->ended()) co_return last({{"ended", true}});
      if (n_pauses == kPausesPerSign) co_return std::string();
      const asio::any_io_executor executor = co_await asio::this_coro::executor;
      asio::steady_timer pause(executor, kLogPause);
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

 private:
  static std::string event(const Json& data) { return fmt::format("data: {}\n\n", text_of(data)); }
  std::string last(const Json& data) {
    is_over_ = true;
    return event(data);
  }

  HubDoor hub_;
  proto::LogRequest request_;
  bool is_over_ = false;
};

/// Asks the hub for a sweep's status and makes the page's JSON of it.
asio::awaitable<Result<StatusViews::Text>> make_status(HubDoor hub, SweepId sweep) {
  const auto question = [sweep](Hub& from) { return from.tell_status(sweep); };
  const Result<proto::StatusReply> reply = co_await hub.ask(question);
  if (!reply) co_return fail(reply.error());
  co_return std::make_shared<const std::string>(text_of(proto::status_json(*reply)));
}

}  // namespace

Site::Site(HubDoor hub, const Clock& clock, std::filesystem::path database)
    : hub_(hub),
      views_(clock, kStatusAge, [hub](SweepId sweep) { return make_status(hub, sweep); }),
      database_(std::move(database)),
      tables_(clock, kTableAge),
      throughputs_(clock, kStatusAge) {}

Site::Reply Site::status(HttpRequest request) {
  const Result<StatusViews::Text> text = co_await views_.get(SweepId{number_of(request.value("sweep"))});
  if (!text) co_return json_reply(text.error());
  co_return HttpReply{200, kJson, **text};
}

Site::Reply Site::explain(HttpRequest request) {
  const auto question = [key = request.value("job")](Hub& hub) { return hub.tell_explain(key); };
  const Result<proto::ExplainReply> reply = co_await hub_.ask(question);
  if (!reply) co_return json_reply(reply.error());
  co_return json_reply(proto::explain_json(*reply));
}

Site::Reply Site::attempts(HttpRequest request) {
  const auto question = [key = request.value("job")](Hub& hub) { return hub.tell_attempts(key); };
  const Result<proto::AttemptsReply> reply = co_await hub_.ask(question);
  if (!reply) co_return json_reply(reply.error());
  co_return json_reply(proto::attempts_json(*reply));
}

Site::Reply Site::log(HttpRequest request) {
  proto::LogRequest asked;
  asked.set_key_prefix(request.value("job"));
  asked.set_attempt(number_of(request.value("attempt")));
  asked.set_events(request.value("events") == "1");
  const auto events = std::make_shared<LogEvents>(hub_, std::move(asked));
  HttpReply reply{200, "text/event-stream; charset=utf-8", ""};
  reply.pieces = [events] { return events->next(); };
  co_return reply;
}

Result<db::Connection*> Site::connection() {
  if (!connection_) {
    GAUNTLET_TRY(db::Connection opened, db::Connection::open_read_only(database_));
    GAUNTLET_CHECK_OK(opened.execute(fmt::format("PRAGMA mmap_size={}", kMappedBytes)));
    connection_.emplace(std::move(opened));
  }
  return &*connection_;
}

template <class Read>
Site::Reply Site::read_there(Read read) {
  const Result<db::Connection*> from = connection();
  if (!from) co_return json_reply(from.error());
  const auto found = read(**from);
  if (!found) {
    connection_.reset();  // a question that broke off may have left a statement half-way
    co_return json_reply(found.error());
  }
  if constexpr (std::is_same_v<std::decay_t<decltype(*found)>, Json>) {
    co_return json_reply(*found);
  } else {
    co_return HttpReply{200, kJson, *found};
  }
}

template <class Read>
Site::Reply Site::read(Read read) {
  asio::awaitable<HttpReply> reading = read_there(std::move(read));
  co_return co_await asio::co_spawn(readers_, std::move(reading), asio::use_awaitable);
}

std::vector<HttpPage> Site::pages() {
  std::vector<HttpPage> pages;
  for (const SiteFile& file : site_files()) {
    pages.push_back({std::string(file.path), true, [file](HttpRequest) -> Reply {
                       co_return HttpReply{200, std::string(file.type), std::string(file.text)};
                     }});
  }
  const auto add = [&](const char* path, HttpPage::Make make) {
    pages.push_back({path, true, std::move(make)});
  };
  add("/api/status", [this](HttpRequest request) { return status(std::move(request)); });
  add("/api/explain", [this](HttpRequest request) { return explain(std::move(request)); });
  add("/api/attempts", [this](HttpRequest request) { return attempts(std::move(request)); });
  add("/api/log", [this](HttpRequest request) { return log(std::move(request)); });
  add("/api/jobs", [this](HttpRequest request) {
    JobFilter filter{number_of(request.value("sweep")), request.value("state"), request.value("text"),
                     number_of(request.value("after"))};
    const std::uint64_t limit = number_of(request.value("limit"));
    if (limit > 0) filter.limit = std::min<std::size_t>(limit, kMaxJobs);
    return read([filter](db::Connection& connection) { return list_jobs(connection, filter); });
  });
  add("/api/metrics", [this](HttpRequest request) {
    return read([sweep = number_of(request.value("sweep"))](db::Connection& connection) {
      return list_metrics(connection, sweep);
    });
  });
  add("/api/throughput", [this](HttpRequest request) {
    return read([this, sweep = number_of(request.value("sweep"))](db::Connection& connection) {
      return throughputs_.get(sweep, "", [&]() -> Result<std::string> {
        GAUNTLET_TRY(const Json curves, sweep_throughput(connection, sweep));
        return text_of(curves);
      });
    });
  });
  add("/api/table", [this](HttpRequest request) {
    return read([this, sweep = number_of(request.value("sweep")),
                 metric = request.value("metric")](db::Connection& connection) {
      return tables_.get(sweep, metric, [&] { return sweep_table(connection, sweep, metric); });
    });
  });
  add("/api/curves", [this](HttpRequest request) {
    return read([sweep = number_of(request.value("sweep")), name = request.value("name"),
                 job = request.value("job")](db::Connection& connection) -> Result<Json> {
      return job.empty() ? sweep_curves(connection, sweep, name) : job_curves(connection, job);
    });
  });
  return pages;
}

}  // namespace gauntlet::coordinator
