// The coordinator's page: its files, compiled in, and what they fetch. docs/operations.md shows it.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "coordinator/net/answer_cache.hpp"
#include "coordinator/net/http_server.hpp"
#include "coordinator/net/hub_door.hpp"
#include "coordinator/net/status_views.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::coordinator {

/// A file of the page.
struct SiteFile {
  std::string_view path;  ///< "/page.js"
  std::string_view type;
  std::string_view text;
};
/// index.html as "/", page.css, page.js.
[[nodiscard]] const std::vector<SiteFile>& site_files();

class Site {
 public:
  /// The hub and the clock outlive it. Its pages are made on the thread that serves them.
  Site(HubDoor hub, const Clock& clock, std::filesystem::path database);

  /// "/", its files, and "/api/…": status, jobs, explain, attempts, log (server-sent events), metrics, table,
  /// curves. All ask for the token. They live as long as the site.
  [[nodiscard]] std::vector<HttpPage> pages();

 private:
  using Reply = boost::asio::awaitable<HttpReply>;
  [[nodiscard]] Reply status(HttpRequest request);
  [[nodiscard]] Reply explain(HttpRequest request);
  [[nodiscard]] Reply attempts(HttpRequest request);
  [[nodiscard]] Reply log(HttpRequest request);
  /// What `read(connection)` gives, as JSON.
  template <class Read>
  [[nodiscard]] Reply read(Read read);
  template <class Read>
  [[nodiscard]] Reply read_there(Read read);  ///< on the readers' thread
  [[nodiscard]] Result<db::Connection*> connection();

  HubDoor hub_;
  StatusViews views_;
  std::filesystem::path database_;
  std::optional<db::Connection> connection_;  ///< the readers' thread only
  AnswerCache tables_;                        ///< by metric; the readers' thread only
  AnswerCache throughputs_;                   ///< the readers' thread only
  boost::asio::thread_pool readers_{1};       ///< a question to the database must not hold up other pages
};

}  // namespace gauntlet::coordinator
