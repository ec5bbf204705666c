#include "cli/support/log_source.hpp"

#include "coordinator/net/attempts_reply.hpp"
#include "core/base/log_file.hpp"
#include "core/db/connection.hpp"
#include "core/db/migrate.hpp"

namespace gauntlet::cli {
namespace {

tl::unexpected<Error> unexpected_answer(const proto::Frame& frame) {
  return fail(ErrorCode::kInternal, "the coordinator answered with '{}'", proto::name_of(frame.body_case()));
}

class CoordinatorLogs final : public LogSource {
 public:
  explicit CoordinatorLogs(client::Client client) : client_(std::move(client)) {}

  [[nodiscard]] Result<proto::AttemptsReply> attempts(const std::string& key_prefix) override {
    proto::Frame frame;
    frame.mutable_attempts_request()->set_key_prefix(key_prefix);
    GAUNTLET_TRY(proto::Frame answer, client_.request(std::move(frame)));
    if (!answer.has_attempts_reply()) return unexpected_answer(answer);
    return std::move(*answer.mutable_attempts_reply());
  }

  [[nodiscard]] Result<proto::LogReply> read(const proto::LogRequest& request) override {
    proto::Frame frame;
    *frame.mutable_log_request() = request;
    GAUNTLET_TRY(proto::Frame answer, client_.request(std::move(frame)));
    if (!answer.has_log_reply()) return unexpected_answer(answer);
    return std::move(*answer.mutable_log_reply());
  }

 private:
  client::Client client_;
};

class FolderLogs final : public LogSource {
 public:
  FolderLogs(db::Connection connection, std::filesystem::path workdir)
      : connection_(std::move(connection)), workdir_(std::move(workdir)) {}

  [[nodiscard]] Result<proto::AttemptsReply> attempts(const std::string& key_prefix) override {
    GAUNTLET_TRY(const store::JobAttempts found, store::job_attempts(connection_, key_prefix));
    return coordinator::attempts_reply(found);
  }

  [[nodiscard]] Result<proto::LogReply> read(const proto::LogRequest& request) override {
    constexpr std::size_t kBlock = std::size_t{256} << 10;
    GAUNTLET_TRY(const store::JobAttempts found, store::job_attempts(connection_, request.key_prefix()));
    GAUNTLET_TRY(const store::AttemptRow row, store::choose_attempt(found, request.attempt()));
    const std::filesystem::path log = attempt_log(workdir_, found.job.key.hex(), row.attempt.value);
    GAUNTLET_TRY(LogPart part,
                 read_log(request.events() ? events_beside(log) : log, request.offset(), kBlock));
    proto::LogReply reply;
    reply.set_attempt(row.attempt.value);
    reply.set_ended(row.ended_ms != 0);
    reply.set_data(std::move(part.bytes));
    reply.set_next_offset(part.next);
    reply.set_at_end(part.at_end);
    return reply;
  }

 private:
  db::Connection connection_;
  std::filesystem::path workdir_;
};

}  // namespace

Result<std::unique_ptr<LogSource>> open_logs(const ConnectOptions& connect, const FolderOptions& folder) {
  Result<client::Client> client = connect.connect();
  if (client) return std::make_unique<CoordinatorLogs>(std::move(*client));
  if (client.error().code != ErrorCode::kUnreachable || !connect.address.empty())
    return fail(std::move(client.error()));
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(folder.database_path()));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  return std::make_unique<FolderLogs>(std::move(connection), connect.workdir);
}

}  // namespace gauntlet::cli
