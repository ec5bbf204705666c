#include "cli/support/submission.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "core/base/version.hpp"
#include "core/proto/convert.hpp"
#include "worker/agent/machine.hpp"

namespace gauntlet::cli {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
/// Of the sweep file in one frame.
constexpr std::size_t kTextBytes = std::size_t{8} << 20;
constexpr Milliseconds kCommitTimeout{600'000};  // a million jobs in one transaction on a slow disk

/// Of the account this process runs under; its number where it has no name.
std::string user_name() {
  std::array<char, 4096> texts{};
  ::passwd entry{};
  ::passwd* found = nullptr;
  ::getpwuid_r(::geteuid(), &entry, texts.data(), texts.size(), &found);
  return found != nullptr ? found->pw_name : fmt::format("{}", ::geteuid());
}

/// Paths as the person meant them: a worker may stand in another folder.
Json absolute(const Json& locations) {
  Json paths = locations;
  for (Json& path : paths) {
    if (path.is_string() && !path.get_ref<const std::string&>().empty())
      path = std::filesystem::absolute(path.get<std::string>()).lexically_normal().string();
  }
  return paths;
}

/// Collects jobs and cells, and sends them in frames of about a megabyte.
class ChunkSender {
 public:
  explicit ChunkSender(client::Client& client) : client_(client) {}

  Status add(const spec::PlannedJob& planned, std::string canonical) {
    proto::Job& job = *chunk().add_jobs();
    job.set_key(proto::key_bytes(planned.key));
    job.set_canonical(std::move(canonical));
    job.set_title(planned.job.title);
    *job.mutable_resources() = proto::to_proto(planned.job.resources);
    for (const spec::JobInput& input : planned.job.inputs) job.add_needs(proto::key_bytes(input.key));
    if (!planned.job.locations.empty()) {
      GAUNTLET_TRY(*job.mutable_locations(), canonical_json(absolute(planned.job.locations)));
    }
    return added(job.ByteSizeLong());
  }

  Status add(const spec::PlannedCell& planned, const spec::PlannedJobs& jobs) {
    proto::Cell& cell = *chunk().add_cells();
    cell.set_dataset(planned.cell.dataset);
    cell.set_model(planned.cell.model);
    cell.set_bits(planned.cell.bits);
    cell.set_defense(planned.cell.defense);
    cell.set_attack(planned.cell.attack);
    cell.set_protocol(planned.cell.protocol);
    cell.set_direction(planned.cell.direction);
    cell.set_variant(planned.cell.variant);
    cell.set_seed(planned.cell.seed);
    for (const spec::CellJob& part : planned.jobs) {
      proto::CellJob& job = *cell.add_jobs();
      job.set_key(proto::key_bytes(jobs.key(part.job)));
      job.set_role(std::string(part.role));
    }
    for (const std::string& metric : planned.metrics) cell.add_metrics(metric);
    return added(cell.ByteSizeLong());
  }

  /// Nobody waits for an answer: what is wrong with a chunk is told at the commit.
  Status flush() {
    if (n_bytes_ == 0) return {};
    n_bytes_ = 0;
    Status sent = client_.send(frame_);
    frame_.Clear();
    return sent;
  }

 private:
  proto::SubmitChunk& chunk() { return *frame_.mutable_submit_chunk(); }

  Status added(std::size_t bytes) {
    n_bytes_ += bytes;
    return n_bytes_ < kChunkBytes ? Status{} : flush();
  }

  client::Client& client_;
  proto::Frame frame_;
  std::size_t n_bytes_ = 0;
};

/// Takes up to kTextBytes from the front of the text, cut between UTF-8 characters.
std::string_view take_text(std::string_view& text) {
  std::size_t n_bytes = std::min(text.size(), kTextBytes);
  while (n_bytes < text.size() && n_bytes > 0 && (static_cast<unsigned char>(text[n_bytes]) & 0xC0) == 0x80)
    --n_bytes;
  const std::string_view part = text.substr(0, n_bytes);
  text.remove_prefix(n_bytes);
  return part;
}

Status begin_submission(client::Client& client, const LoadedSweep& sweep, int priority) {
  std::string_view text = sweep.text;
  proto::Frame begin;
  proto::SubmitBegin& head = *begin.mutable_submit_begin();
  head.set_name(sweep.spec.name);
  head.set_spec_text(std::string(take_text(text)));
  head.set_spec_path(sweep.path.string());
  head.set_priority(priority);
  head.set_revision(std::string(revision()));
  head.set_metrics(metric_meanings(sweep.spec.metrics, sweep.catalog).dump());
  head.set_user(user_name());
  head.set_host(worker::host_name());
  GAUNTLET_CHECK_OK(client.request(std::move(begin)));
  while (!text.empty()) {
    proto::Frame more;
    more.mutable_submit_begin()->set_spec_text(std::string(take_text(text)));
    GAUNTLET_CHECK_OK(client.request(std::move(more)));
  }
  return {};
}

}  // namespace

Result<proto::SubmitReply> submit_sweep(client::Client& client, const LoadedSweep& sweep, int priority) {
  GAUNTLET_CHECK_OK(begin_submission(client, sweep, priority));
  ChunkSender sender(client);
  const spec::PlannedJobs& jobs = sweep.expansion.jobs;
  for (std::size_t index = 0; index < jobs.size(); ++index) {
    GAUNTLET_CHECK_OK(sender.add(jobs[index], jobs.canonical(index)));
  }
  for (const spec::PlannedCell& cell : sweep.expansion.cells) GAUNTLET_CHECK_OK(sender.add(cell, jobs));
  GAUNTLET_CHECK_OK(sender.flush());
  proto::Frame commit;
  commit.mutable_submit_commit()->set_n_jobs(sweep.expansion.jobs.size());
  commit.mutable_submit_commit()->set_n_cells(sweep.expansion.cells.size());
  GAUNTLET_TRY(const proto::Frame answer, client.request(std::move(commit), kCommitTimeout));
  if (!answer.has_submit_reply()) {
    return fail(ErrorCode::kInternal, "the coordinator answered a submission with '{}'",
                proto::name_of(answer.body_case()));
  }
  return answer.submit_reply();
}

}  // namespace gauntlet::cli
