#include "core/data/detail/prepare_journal.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/files.hpp"
#include "core/base/json.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::size_t kMaxJournalBytes = std::size_t{1} << 30;

/// Differs after every start of the machine; empty where the system does not tell.
std::string boot_id() {
  const auto id = read_file("/proc/sys/kernel/random/boot_id", 256);
  return id ? id->substr(0, id->find('\n')) : std::string();
}

std::string first_line(const std::string& identity) {
  return fmt::format("gauntlet-prepare 1 {} {}", identity, boot_id());
}

/// Whether a name may lie in the folder; leftovers of files written beside their place are removed.
bool belongs(const std::filesystem::path& file, const std::vector<std::string>& ours) {
  const std::string name = file.filename().string();
  if (name == kJournalName) return true;
  for (const std::string& each : ours) {
    if (name == each || name == each + ".part") return true;
    if (name.starts_with(each + ".tmp")) {
      std::error_code ignored;
      return std::filesystem::remove(file, ignored);
    }
  }
  return false;
}

Json to_json(const std::vector<RowNote>& notes) {
  Json list = Json::array();
  for (const auto& [row, text] : notes) list.push_back({row, text});
  return list;
}

std::vector<RowNote> notes_from(const Json& list) {
  std::vector<RowNote> notes;
  for (const Json& note : list)
    notes.emplace_back(note.at(0).get<std::int64_t>(), note.at(1).get<std::string>());
  return notes;
}

bool are_notes(const Json& list) {
  return list.is_array() && std::ranges::all_of(list, [](const Json& note) {
           return note.is_array() && note.size() == 2 && note[0].is_number_integer() && note[1].is_string();
         });
}

bool is_block(const Json& line, std::size_t expected) {
  const auto field = [&](const char* name) { return line.value(name, Json()); };
  return field("block") == expected && field("rows").is_number_integer() && field("sha256").is_string() &&
         are_notes(field("dropped")) && are_notes(field("remarks"));
}

}  // namespace

Result<PrepareJournal> PrepareJournal::open(const std::filesystem::path& folder, const std::string& identity,
                                            const std::vector<std::string>& ours) {
  std::error_code error;
  const bool is_fresh = !std::filesystem::exists(folder / kJournalName, error);
  for (std::filesystem::directory_iterator files(folder, error), end; !error && files != end;
       files.increment(error)) {
    if (!is_fresh && belongs(files->path(), ours)) continue;
    return fail(ErrorCode::kInvalid, "{} is not empty: it holds {}; choose another folder", folder.string(),
                files->path().filename().string());
  }
  PrepareJournal journal;
  journal.path_ = folder / kJournalName;
  journal.file_ =
      OwnedDescriptor(::open(journal.path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (journal.file_.get() < 0) return fail(system_error(errno, "write", journal.path_));
  if (::flock(journal.file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return fail(ErrorCode::kRefused, "another process is preparing {}; wait for it or choose another folder",
                folder.string());
  }
  GAUNTLET_CHECK_OK(journal.read(identity));
  return journal;
}

Status PrepareJournal::read(const std::string& identity) {
  GAUNTLET_TRY(const std::string text, read_file(path_, kMaxJournalBytes));
  const std::size_t head_end = text.find('\n');
  if (head_end == std::string::npos) return start(identity);
  const std::string head = first_line(identity);
  const std::string_view found = std::string_view(text).substr(0, head_end);
  const std::size_t boot_at = head.rfind(' ');
  if (found.substr(0, boot_at) != std::string_view(head).substr(0, boot_at)) {
    return fail(
        ErrorCode::kInvalid,
        "{} holds an unfinished preparation of another source or with other options; repeat that one, "
        "delete the folder, or choose another",
        path_.parent_path().string());
  }
  const bool same_boot = found == head;
  end_ = head_end_ = static_cast<std::int64_t>(head_end) + 1;
  for (std::size_t at = head_end + 1; at < text.size();) {
    const std::size_t line_end = text.find('\n', at);
    if (line_end == std::string::npos) break;
    const Json line = Json::parse(text.substr(at, line_end - at), nullptr, false);
    at = line_end + 1;
    if (is_block(line, blocks_.size())) {
      blocks_.push_back({line["rows"].get<std::int64_t>(), line["sha256"].get<std::string>(),
                         notes_from(line["dropped"]), notes_from(line["remarks"])});
      block_ends_.push_back(static_cast<std::int64_t>(at));
    } else if (line.value("step", Json()) == n_steps_ && same_boot) {
      ++n_steps_;
    } else {
      break;
    }
    end_ = static_cast<std::int64_t>(at);
  }
  if (::ftruncate(file_.get(), end_) != 0) return fail(system_error(errno, "write", path_));
  return {};
}

Status PrepareJournal::start(const std::string& identity) {
  end_ = 0;
  if (::ftruncate(file_.get(), 0) != 0) return fail(system_error(errno, "write", path_));
  GAUNTLET_CHECK_OK(add_line(first_line(identity)));
  head_end_ = end_;
  return {};
}

Status PrepareJournal::add_line(std::string line) {
  line.push_back('\n');
  for (std::size_t done = 0; done < line.size();) {
    const ssize_t written =
        ::pwrite(file_.get(), line.data() + done, line.size() - done, end_ + static_cast<std::int64_t>(done));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(system_error(errno, "write", path_));
    done += static_cast<std::size_t>(written);
  }
  end_ += static_cast<std::int64_t>(line.size());
  return {};
}

Status PrepareJournal::keep_blocks(std::size_t n_blocks) {
  if (n_blocks >= blocks_.size()) return {};
  end_ = n_blocks == 0 ? head_end_ : block_ends_[n_blocks - 1];
  blocks_.resize(n_blocks);
  block_ends_.resize(n_blocks);
  n_steps_ = 0;
  if (::ftruncate(file_.get(), end_) != 0) return fail(system_error(errno, "write", path_));
  return {};
}

Status PrepareJournal::add(const JournalBlock& block) {
  const Json line = {{"block", blocks_.size()},
                     {"rows", block.n_kept},
                     {"sha256", block.sha256},
                     {"dropped", to_json(block.dropped)},
                     {"remarks", to_json(block.remarks)}};
  GAUNTLET_CHECK_OK(add_line(line.dump(-1, ' ', false, Json::error_handler_t::replace)));
  blocks_.push_back(block);
  block_ends_.push_back(end_);
  return {};
}

Status PrepareJournal::add_step() {
  GAUNTLET_CHECK_OK(add_line(Json{{"step", n_steps_}}.dump()));
  ++n_steps_;
  return {};
}

Status PrepareJournal::remove() {
  if (::unlink(path_.c_str()) != 0) return fail(system_error(errno, "remove", path_));
  return {};
}

}  // namespace gauntlet::data::detail
